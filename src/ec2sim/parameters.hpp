#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
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
  [[nodiscard]] Answer<std::optional<double>> real(const std::string& name) const;
  [[nodiscard]] Answer<std::optional<muster::TimePoint>> time(const std::string& name) const;
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
  /// `Tag.N.Key` with an optional value, as DeleteTags has them.
  [[nodiscard]] Answer<std::map<std::string, std::optional<std::string>>> tag_keys(
      const std::string& prefix) const;
  /// All but the token, in one order: equal requests have equal ones.
  [[nodiscard]] std::string fingerprint() const;

  /// Parameters whose names were checked before.
  [[nodiscard]] static Parameters of(std::map<std::string, std::string> values);
  /// Those below `prefix`, without it.
  [[nodiscard]] std::map<std::string, std::string> below(const std::string& prefix) const;
  [[nodiscard]] const std::map<std::string, std::string>& values() const { return values_; }

 private:
  std::map<std::string, std::string> values_;
};

[[nodiscard]] tl::unexpected<Ec2Error> invalid_value(const std::string& value,
                                                     const std::string& name);

/// Reads many parameters and keeps the first refusal.
class ParameterReader {
 public:
  explicit ParameterReader(const Parameters& given) : given_(given) {}

  [[nodiscard]] bool boolean(const std::string& name, bool otherwise = false);
  [[nodiscard]] std::optional<bool> maybe_boolean(const std::string& name);
  [[nodiscard]] int integer(const std::string& name, int otherwise = 0);
  [[nodiscard]] std::optional<int> maybe_integer(const std::string& name);
  [[nodiscard]] std::optional<double> maybe_real(const std::string& name);
  [[nodiscard]] std::optional<muster::TimePoint> maybe_time(const std::string& name);
  [[nodiscard]] std::string word(const std::string& name,
                                 const std::vector<std::string_view>& allowed);
  [[nodiscard]] std::vector<ec2model::Filter> filters();
  [[nodiscard]] std::map<std::string, ec2model::Tags> tag_specifications(
      const std::vector<std::string_view>& allowed);

  void refuse(std::string code, std::string message);
  void note(const Ec2Error& error) {
    if (!failure_) failure_ = error;
  }
  [[nodiscard]] bool has_failed() const { return failure_.has_value(); }
  /// To be returned when something was refused.
  [[nodiscard]] tl::unexpected<Ec2Error> failure() const {
    return tl::unexpected<Ec2Error>(*failure_);
  }

 private:
  template <class T>
  T take(Answer<T> read) {
    if (read) return std::move(*read);
    note(read.error());
    return T{};
  }

  const Parameters& given_;
  std::optional<Ec2Error> failure_;
};

}  // namespace ec2sim
