#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ec2model/error.hpp"
#include "ec2model/filter.hpp"
#include "ec2model/world.hpp"
#include "wire/encoding.hpp"

namespace ec2sim {

using ec2model::Answer;
using ec2model::Ec2Error;

/// The parameters of one call, checked by name against what the action knows (`.N` stands for an
/// index), and read by type.
class Parameters {
 public:
  /// Refuses unknown names, names of what the simulator does not play, and missing required ones.
  static Answer<Parameters> check(const muster::wire::Parameters& given,
                                  const std::vector<std::string_view>& known,
                                  const std::vector<std::string_view>& required);

  [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }
  /// Whether any parameter's name starts so.
  [[nodiscard]] bool has_prefix(const std::string& prefix) const;
  [[nodiscard]] std::string text(const std::string& name) const;
  [[nodiscard]] Answer<std::optional<int>> integer(const std::string& name) const;
  [[nodiscard]] Answer<std::optional<bool>> boolean(const std::string& name) const;
  /// One of the allowed words, or empty.
  [[nodiscard]] Answer<std::string> word(const std::string& name,
                                         const std::vector<std::string_view>& allowed) const;
  /// `Name.1`, `Name.2`, … in order of their index.
  [[nodiscard]] std::vector<std::string> list(const std::string& name) const;
  /// The indices at which `Name.N` or `Name.N.*` stands.
  [[nodiscard]] std::vector<int> indices(const std::string& name) const;
  [[nodiscard]] Answer<std::vector<ec2model::Filter>> filters() const;
  /// Of the resource types allowed; each to its tags.
  [[nodiscard]] Answer<std::map<std::string, ec2model::Tags>> tag_specifications(
      const std::vector<std::string_view>& allowed) const;
  [[nodiscard]] Answer<ec2model::Tags> tags(const std::string& prefix) const;
  /// All but the token, in one order: equal requests have equal ones.
  [[nodiscard]] std::string fingerprint() const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace ec2sim
