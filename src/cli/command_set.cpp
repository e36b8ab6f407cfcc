#include "cli/command_set.hpp"

#include "cli/errors.hpp"
#include "wire/json.hpp"

namespace muster::cli {

int show(const Result<Node>& answer, bool as_json, const std::function<void(const Node&)>& print) {
  if (!answer) return report(answer.error());
  if (as_json) {
    fmt::print("{}\n", wire::to_json(*answer, 2));
  } else {
    print(*answer);
  }
  return kDone;
}

std::string check_not_empty(const std::string& text) {
  return text.empty() ? std::string("its value is empty") : std::string();
}

}  // namespace muster::cli
