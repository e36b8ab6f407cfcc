#include "cli/pipeline_source.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

#include "adapters/system/files.hpp"
#include "base/nearest.hpp"
#include "pipeline/reader.hpp"
#include "pipeline/substitute.hpp"
#include "wire/yaml.hpp"

namespace muster::cli {
namespace {

std::string name_of(const Node& document) {
  const std::string name = document.text_at({"name"});
  return name.empty() ? "default" : name;
}

/// The pipeline that is asked for, as a document with its `${…}` expanded.
Result<Node> choose_document(const PipelineRequest& request, const std::string& text,
                             const std::map<std::string, std::string>& variables) {
  const Result<std::string> expanded = pipeline::substitute(text, variables);
  if (!expanded) {
    Error error = expanded.error();
    error.code = "E0301";
    error.message = request.file + ": " + error.message;
    return tl::unexpected<Error>(error);
  }
  std::vector<Node> found;
  std::vector<std::string> names;
  std::vector<std::string> others;
  for (const pipeline::DocumentText& document : pipeline::split_documents(*expanded)) {
    wire::YamlOptions options;
    options.file = request.file;
    options.first_line = document.first_line;
    options.allows_duplicates = true;
    Result<Node> node = wire::parse_yaml(document.text, options);
    if (!node) {
      node.error().code = "E0301";
      return tl::unexpected<Error>(node.error());
    }
    const std::string type = node->text_at({"type"});
    if (node->text_at({"kind"}) == "pipeline" && !pipeline::is_pipeline(*node)) {
      others.push_back(
          fmt::format("{} (type {}, which muster does not run)", name_of(*node), type));
    }
    if (!node->is_mapping() || !pipeline::is_pipeline(*node)) continue;
    names.push_back(name_of(*node));
    found.push_back(std::move(*node));
  }
  const std::string wanted = request.name.empty() ? "default" : request.name;
  auto chosen = std::find(names.begin(), names.end(), wanted);
  if (chosen == names.end() && request.name.empty() && names.size() == 1) chosen = names.begin();
  if (chosen == names.end()) {
    const auto near = nearest_name(wanted, names);
    if (names.empty() && others.empty()) {
      return fail(ErrorKind::invalid_input, fmt::format("{} has no pipeline", request.file),
                  "A pipeline begins with kind: pipeline and a type, such as vm.", "E0301");
    }
    if (names.empty()) {
      return fail(ErrorKind::invalid_input,
                  fmt::format("{} has no pipeline that muster runs, only {}", request.file,
                              fmt::join(others, ", ")),
                  "muster runs the types aws, vm, docker and exec.", "E0301");
    }
    others.insert(others.begin(), names.begin(), names.end());
    return fail(
        ErrorKind::invalid_input,
        fmt::format("{} has no pipeline named {}; it has: {}", request.file, wanted,
                    others.empty() ? "none" : fmt::format("{}", fmt::join(others, ", "))),
        near ? fmt::format("Did you mean --pipeline {}?", *near) : "Name one with --pipeline.",
        "E0301");
  }
  return std::move(found[static_cast<std::size_t>(chosen - names.begin())]);
}

std::map<std::string, std::string> variables_of(const PipelineRequest& request) {
  std::map<std::string, std::string> out = request.globals;
  for (const auto& [name, value] : pipeline::build_environment(request.metadata)) out[name] = value;
  return out;
}

}  // namespace

int print_findings(std::vector<Finding> findings) {
  std::sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.problem.mark.line, a.problem.mark.column, a.problem.path, a.problem.what) <
           std::tie(b.problem.mark.line, b.problem.mark.column, b.problem.path, b.problem.what);
  });
  int count = 0;
  for (const Finding& finding : findings) {
    fmt::print(stderr, "{}{}\n", finding.problem.describe(), finding.is_error ? "" : " (warning)");
    if (finding.is_error) ++count;
  }
  return count;
}

Result<pipeline::Pipeline> load_pipeline(const PipelineRequest& request) {
  Result<std::string> text = system::read_file(request.file, 4 << 20);
  if (!text) {
    Error error = text.error();
    error.code = "E0303";
    error.remedy = "Name the pipeline's file, or go to its folder.";
    return tl::unexpected<Error>(error);
  }
  // What the stage is called is only known once it was found: `${DRONE_STAGE_…}` comes second.
  std::map<std::string, std::string> variables = variables_of(request);
  Result<Node> document = choose_document(request, *text, variables);
  if (!document) return tl::unexpected<Error>(document.error());
  std::vector<Finding> ignored;
  const pipeline::Pipeline named = pipeline::read_pipeline(*document, ignored);
  const auto stage = pipeline::stage_environment(
      {named.type, named.name, named.platform_os, named.platform_arch, request.metadata.machine});
  for (const auto& [name, value] : stage) variables[name] = value;
  document = choose_document(request, *text, variables);
  if (!document) return tl::unexpected<Error>(document.error());
  std::vector<Finding> findings;
  pipeline::Pipeline out = pipeline::read_pipeline(*document, findings);
  pipeline::lint(out, request.is_trusted, findings);
  const int error_count = print_findings(std::move(findings));
  if (error_count == 0) return out;
  return fail(ErrorKind::invalid_input,
              fmt::format("{} problem{} in {}; nothing was launched", error_count,
                          error_count == 1 ? "" : "s", request.file),
              {}, "E0301");
}

}  // namespace muster::cli
