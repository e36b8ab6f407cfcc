#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/secret.hpp"
#include "ec2model/model.hpp"
#include "ec2sim/parameter_store.hpp"

namespace ec2sim {

struct AccessKey {
  std::string id;
  muster::Secret secret;
};

struct Role {
  std::string name;
  std::string external_id;  ///< Must be given with AssumeRole, unless empty.
  muster::Duration session_max = std::chrono::hours{1};
};

struct Account {
  std::string id = "123456789012";
  std::string user = "muster";
  std::vector<AccessKey> access_keys;
  std::vector<Role> roles;

  [[nodiscard]] std::string user_arn() const { return "arn:aws:iam::" + id + ":user/" + user; }
  [[nodiscard]] std::string role_arn(const Role& role) const {
    return "arn:aws:iam::" + id + ":role/" + role.name;
  }
};

/// What a simulator starts with: accounts, and a world for each region of each.
struct Settings {
  std::vector<Account> accounts;
  std::vector<ec2model::World> worlds;
};

/// All accounts and regions of one simulator.
class Universe {
 public:
  Universe(Settings settings, std::uint64_t seed);

  [[nodiscard]] const std::vector<Account>& accounts() const { return settings_.accounts; }
  [[nodiscard]] const Account* find_account(const std::string& id) const;

  struct Region {
    ec2model::Model model;
    ParameterStore parameters;
  };
  [[nodiscard]] Region* find(const std::string& account, const std::string& region);
  [[nodiscard]] std::vector<std::unique_ptr<Region>>& regions() { return regions_; }
  /// The region whose machine that is; null for none.
  [[nodiscard]] Region* of_instance(const std::string& id);
  [[nodiscard]] ec2model::Model* of_address(const std::string& private_address);

  /// Everything as at the start. The ledgers stay.
  void reset();

 private:
  void make_regions();

  Settings settings_;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Region>> regions_;
};

}  // namespace ec2sim
