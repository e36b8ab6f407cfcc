#pragma once

#include <map>
#include <optional>
#include <string>

#include "ec2model/error.hpp"
#include "ports/http.hpp"
#include "wire/encoding.hpp"
#include "wire/sigv4.hpp"

namespace ec2sim {

/// Who makes a call, and to which service of which region.
struct Caller {
  std::string account;
  std::string arn;
  std::string user_id;
  std::string region;
  std::string service;
};

/// Checks Signature Version 4 on requests as AWS does (docs/protocols: signatures).
class Authenticator {
 public:
  /// `known` has account, ARN and user id; the rest comes with each call.
  void add(const muster::wire::AwsCredentials& credentials, Caller known);

  /// Forgets keys that have an expiration: a reset makes temporary ones worthless.
  void forget_temporary();

  /// `query` is the decoded query string. Refusals carry EC2's codes and statuses; other services
  /// have their own names for some (see gateway.cpp).
  [[nodiscard]] ec2model::Answer<Caller> check(const muster::HttpServerRequest& request,
                                               const std::string& path,
                                               const muster::wire::Parameters& query,
                                               muster::TimePoint now) const;

 private:
  struct Entry {
    muster::wire::AwsCredentials credentials;
    Caller known;
  };
  std::map<std::string, Entry> keys_;
};

}  // namespace ec2sim
