#pragma once

#include <map>
#include <optional>
#include <string>

#include "ec2model/error.hpp"
#include "ports/http.hpp"
#include "wire/encoding.hpp"
#include "wire/sigv4.hpp"

namespace ec2sim {

/// Checks Signature Version 4 on requests as EC2 does (docs/protocols: signatures).
class Authenticator {
 public:
  explicit Authenticator(std::string region) : region_(std::move(region)) {}

  void add(const muster::wire::AwsCredentials& credentials);

  /// `query` is the decoded query string. Refusals carry EC2's codes and statuses.
  [[nodiscard]] ec2model::Answer<void> check(const muster::HttpServerRequest& request,
                                             const std::string& path,
                                             const muster::wire::Parameters& query,
                                             muster::TimePoint now) const;

 private:
  std::string region_;
  std::map<std::string, muster::wire::AwsCredentials> keys_;
};

}  // namespace ec2sim
