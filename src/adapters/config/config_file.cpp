#include "adapters/config/config_file.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "fleet/config_keys.hpp"
#include "wire/yaml.hpp"

namespace muster::config {
namespace {

constexpr std::size_t kFileBytesMax = 64 << 10;  // Over what a pool may have: that is told.

/// Puts the named file's text in the place of `user_data: file:PATH`.
void load_user_data(NodeReader& reader, const std::string& folder, const std::string& path,
                    Node& value) {
  if (!value.is_scalar() || !value.text.starts_with("file:")) return;
  const auto file = std::filesystem::path(folder) / value.text.substr(5);
  std::ifstream in(file, std::ios::binary);
  std::string bytes(kFileBytesMax, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  if (!in.eof() && bytes.size() < kFileBytesMax) {
    reader.error(value.mark, path, fmt::format("{} cannot be read.", file.string()),
                 "Correct the path; it is relative to muster.yml.");
  }
  value.text = bytes;
}

void load_files(NodeReader& reader, const std::string& folder, Node& document) {
  for (Member& member : document.members) {
    if (member.key != "pools") continue;
    for (Member& pool : member.value.members) {
      for (Member& key : pool.value.members) {
        const std::string path = fmt::format("pools.{}.user_data", pool.key);
        if (key.key == "user_data") load_user_data(reader, folder, path, key.value);
      }
    }
  }
}

}  // namespace

Config read_config(std::string_view text, const std::string& file, std::vector<Finding>& findings) {
  Config config;
  config.file = file;
  wire::YamlOptions options;
  options.file = file;
  Result<Node> document = wire::parse_yaml(text, options);
  if (!document) {
    // The text has the place in it.
    const std::string& message = document.error().message;
    const std::size_t space = message.find(": ");
    Problem problem;
    problem.mark.file = std::make_shared<std::string>(message.substr(0, space));
    problem.what = message.substr(space == std::string::npos ? 0 : space + 2);
    findings.push_back({problem, true});
    return config;
  }
  NodeReader reader(findings, true);
  load_files(reader, std::filesystem::path(file).parent_path(), *document);
  // A file without any key is one of defaults only.
  if (!document->is_null()) config_keys().read(reader, *document, "", config);
  for (auto& [name, pool] : config.pools) {
    pool.name = PoolName(name);
    if (pool.region.empty()) pool.region = config.region;
  }
  return config;
}

}  // namespace muster::config
