#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "ec2model/error.hpp"
#include "ec2model/world.hpp"

namespace ec2sim {

/// SSM Parameter Store of one region of one account, and the public parameters that name images.
class ParameterStore {
 public:
  explicit ParameterStore(const ec2model::World& world);

  struct Parameter {
    std::string name;
    std::string type = "String";  ///< Or StringList, SecureString.
    std::string value;
    std::string data_type = "text";
    std::string tier = "Standard";
    std::string description;
    std::string key_id;
    long version = 1;
    muster::TimePoint modified_at{};
    ec2model::Tags tags;
  };

  ec2model::Answer<const Parameter*> put(Parameter parameter, bool overwrites,
                                         muster::TimePoint now);
  /// By name, `name:version` or ARN.
  [[nodiscard]] ec2model::Answer<Parameter> get(const std::string& name) const;
  [[nodiscard]] bool erase(const std::string& name);
  /// Those below a path, with `recursive` also deeper ones, by name.
  [[nodiscard]] std::vector<const Parameter*> below(const std::string& path, bool recursive) const;
  [[nodiscard]] std::vector<const Parameter*> all() const;
  [[nodiscard]] std::string arn_of(const Parameter& parameter) const;

 private:
  std::string account_;
  std::string region_;
  std::map<std::string, Parameter> parameters_;
  std::map<std::string, std::map<long, std::string>> history_;
  std::map<std::string, Parameter> public_;
};

}  // namespace ec2sim
