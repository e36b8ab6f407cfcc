#include "cli/shell_files.hpp"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <string_view>
#include <vector>

namespace muster::cli {
namespace {

/// Those that are shown.
std::vector<const CLI::App*> subcommands_of(const CLI::App& command) {
  std::vector<const CLI::App*> shown;
  for (const CLI::App* sub : command.get_subcommands({})) {
    if (!sub->get_group().empty()) shown.push_back(sub);
  }
  return shown;
}

/// What the values of an option, or the words of a command, are ids of; empty: of nothing.
std::string_view ids_of(const std::string& name) {
  static const std::map<std::string, std::string_view> kKinds{
      {"job", "jobs"}, {"pool", "pools"}, {"instance", "instances"}};
  const auto found = kKinds.find(name);
  return found == kKinds.end() ? std::string_view() : found->second;
}

/// The words that an option takes, of which there are few.
std::string_view values_of(const std::string& name) {
  static const std::map<std::string, std::string_view> kValues{
      {"role", "viewer operator admin"},
      {"state",
       "open queued leased running finished dropped passed failed cancelled timed-out lost"},
      {"phase", "pending booting idle busy draining stopping stopped starting terminating"}};
  const auto found = kValues.find(name);
  return found == kValues.end() ? std::string_view() : found->second;
}

/// What a command's own word is an id of: kinds, with spaces between.
std::string_view word_kind(const CLI::App& command) {
  if (command.get_name() == "connect") return "jobs instances";
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) return ids_of(option->get_name(true));
  }
  return {};
}

using Visit = std::function<void(const CLI::App& command, const std::string& path)>;

/// Each command with the words that lead to it, itself included.
void visit_all(const CLI::App& command, const std::string& path, const Visit& visit) {
  visit(command, path);
  for (const CLI::App* sub : subcommands_of(command)) {
    visit_all(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), visit);
  }
}

std::vector<std::string> long_options(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  return names;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string bash_script(const CLI::App& app) {
  std::string paths;
  std::string words;
  std::map<std::string, std::string> values;  // By option, in shell.
  visit_all(app, "", [&](const CLI::App& command, const std::string& path) {
    std::string here;
    for (const CLI::App* sub : subcommands_of(command)) here += sub->get_name() + " ";
    for (const std::string& name : long_options(command)) {
      here += "--" + name + " ";
      if (!values_of(name).empty()) values[name] = fmt::format("words=\"{}\"", values_of(name));
      if (!ids_of(name).empty()) values[name] = fmt::format("kinds={} words=", ids_of(name));
    }
    if (!path.empty()) paths += fmt::format("      \"{}\") at=\"$at $word\" ;;\n", " " + path);
    const std::string_view kind = word_kind(command);
    words += fmt::format("    \"{}\") kinds=\"{}\" words=\"{}\" ;;\n",
                         path.empty() ? "" : " " + path, kind, here);
  });
  std::string options;
  for (const auto& [name, set] : values) options += fmt::format("    --{}) {} ;;\n", name, set);
  // What a daemon answers is compared and never expanded.
  return fmt::format(
      "# In ~/.bashrc: source <(muster completion bash)\n"
      "_muster() {{\n"
      "  local at= word words= kinds= kind\n"
      "  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}\n"
      "  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
      "    case \"$at $word\" in\n{}"
      "    esac\n"
      "  done\n"
      "  case \"$at\" in\n{}"
      "  esac\n"
      "  [[ $previous == \"${{at##* }}\" ]] || kinds=\n"
      "  case \"$previous\" in\n{}"
      "  esac\n"
      "  [[ $current == -* ]] && kinds=\n"
      "  COMPREPLY=()\n"
      "  for word in $words; do\n"
      "    [[ $word == \"$current\"* ]] && COMPREPLY+=(\"$word\")\n"
      "  done\n"
      "  for kind in $kinds; do\n"
      "    while IFS= read -r word; do\n"
      "      [[ $word == \"$current\"* ]] && COMPREPLY+=(\"$word\")\n"
      "    done < <(muster complete-ids \"$kind\" 2> /dev/null)\n"
      "  done\n"
      "}}\n"
      "complete -o default -F _muster muster\n",
      paths, words, options);
}

std::string fish_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

/// The commands that print ids of kinds with spaces between.
std::string asking(std::string_view kinds) {
  std::string out;
  for (std::size_t begin = 0; begin < kinds.size();) {
    const std::size_t end = std::min(kinds.find(' ', begin), kinds.size());
    out += fmt::format("{}muster complete-ids {} 2> /dev/null", out.empty() ? "" : "; ",
                       kinds.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

std::string fish_script(const CLI::App& app) {
  std::string out = "# muster completion fish > ~/.config/fish/completions/muster.fish\n";
  visit_all(app, "", [&](const CLI::App& command, const std::string& path) {
    std::string deeper;
    for (const CLI::App* sub : subcommands_of(command)) deeper += " " + sub->get_name();
    std::string here = "__fish_use_subcommand";
    if (!path.empty()) {
      here.clear();
      for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find(' ', begin), path.size());
        here += (here.empty() ? "" : "; and ");
        here += "__fish_seen_subcommand_from " + path.substr(begin, end - begin);
        begin = end + 1;
      }
      if (!deeper.empty()) here += "; and not __fish_seen_subcommand_from" + deeper;
    }
    if (const std::string_view kind = word_kind(command); !kind.empty()) {
      out +=
          fmt::format("complete -c muster -f -n {} -a '({})'\n", fish_quoted(here), asking(kind));
    }
    for (const CLI::App* sub : subcommands_of(command)) {
      out += fmt::format("complete -c muster -f -n {} -a {} -d {}\n", fish_quoted(here),
                         sub->get_name(), fish_quoted(first_line(sub->get_description())));
    }
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        std::string takes = option->get_items_expected_max() > 0 ? " -r" : "";
        if (!values_of(name).empty()) takes += fmt::format(" -f -a '{}'", values_of(name));
        if (!ids_of(name).empty()) takes += fmt::format(" -f -a '({})'", asking(ids_of(name)));
        out += fmt::format("complete -c muster -n {} -l {}{} -d {}\n", fish_quoted(here), name,
                           takes, fish_quoted(first_line(option->get_description())));
      }
    }
  });
  return out;
}

/// Text as troff takes it literally, whatever its locale.
std::string troff(std::string_view text) {
  std::string out;
  bool is_line_start = true;
  for (const char& c : text) {
    if (is_line_start && (c == '.' || c == '\'')) out += "\\&";
    is_line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (static_cast<unsigned char>(c) == 0xE2) {
      // Of three bytes: the ellipsis and its like.
      const std::size_t at = static_cast<std::size_t>(&c - text.data());
      const auto bits = [&](std::size_t i) {
        return at + i < text.size() ? static_cast<unsigned>(text[at + i]) & 0x3FU : 0U;
      };
      out += fmt::format("\\[u{:04X}]", 0x2000U | bits(1) << 6U | bits(2));
    } else if ((static_cast<unsigned char>(c) & 0xC0U) == 0x80U) {
      continue;
    } else {
      out += c;
    }
  }
  return out;
}

/// A description: paragraphs, then examples line by line.
std::string troff_about(const std::string& text) {
  constexpr std::string_view kExamples = "Examples:\n";
  const std::size_t at = text.find(kExamples);
  std::string out = troff(text.substr(0, at));
  while (out.ends_with('\n')) out.pop_back();
  out += "\n";
  if (at == std::string::npos) return out;
  return out + ".PP\nExamples:\n.PP\n.nf\n" + troff(text.substr(at + kExamples.size())) + ".fi\n";
}

std::string troff_options(const CLI::App& command) {
  std::string out;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name(false, true);
    if (name.empty()) continue;
    out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", troff(name), troff(option->get_description()));
  }
  return out;
}

}  // namespace

std::optional<std::string> completion_script(const CLI::App& app, const std::string& shell) {
  if (shell == "bash") return bash_script(app);
  if (shell == "zsh") {
    return "# In ~/.zshrc, after compinit: source <(muster completion zsh)\n"
           "autoload -U +X bashcompinit && bashcompinit\n" +
           bash_script(app);
  }
  if (shell == "fish") return fish_script(app);
  return std::nullopt;
}

std::string man_page(const CLI::App& app) {
  std::string out = fmt::format(
      ".TH MUSTER 1 \"\" \"muster {}\"\n.SH NAME\nmuster \\- CI jobs on fresh EC2 machines\n"
      ".SH SYNOPSIS\n\\fBmuster\\fR COMMAND [OPTIONS]\n.SH DESCRIPTION\n{}",
      MUSTER_VERSION, troff_about(app.get_description()));
  out += ".SH COMMANDS\n";
  visit_all(app, "", [&](const CLI::App& command, const std::string& path) {
    if (path.empty()) return;
    out += fmt::format(".SS muster {}\n{}{}", troff(path), troff_about(command.get_description()),
                       troff_options(command));
  });
  out +=
      ".SH EXIT STATUS\n0 done; 1 the job or pipeline failed; 2 wrong use or configuration; 3 "
      "refused (credentials, permission, quota, capacity); 4 unreachable or timed out; 5 a bug or "
      "a damaged store; 130 interrupted.\n"
      ".SH ENVIRONMENT\n"
      ".TP\n\\fBMUSTER_STATE\\fR\nThe state folder (default: XDG_STATE_HOME/muster).\n"
      ".TP\n\\fBMUSTER_CONFIG\\fR\nThe configuration file (default: muster.yml).\n"
      ".TP\n\\fBMUSTER_URL\\fR\nAsk the daemon at this address instead of the local one.\n"
      ".TP\n\\fBMUSTER_TOKEN_FILE\\fR\nA file that holds the token for it.\n"
      ".TP\n\\fBNO_COLOR\\fR\nNo colour.\n";
  return out;
}

}  // namespace muster::cli
