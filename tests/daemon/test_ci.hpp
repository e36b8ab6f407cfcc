#pragma once

#include <string>

#include "base/document.hpp"
#include "ports/ci_server.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"

namespace muster::test {

/// The CI server of tests/ci_server as a source of jobs.
class TestCi : public CiServer {
 public:
  TestCi(HttpTransport& transport, Clock& clock, std::string url)
      : transport_(transport), clock_(clock), url_(std::move(url)) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  Task<Result<std::vector<CiJob>>> list_jobs() override;
  Task<CiNews> wait_for_news(Duration time_max) override;
  Task<Result<WorkOrder>> claim(std::string job, LeaseId lease, InstanceId instance) override;
  Task<Status> give_back(std::string job, LeaseId lease) override;
  Task<Status> finish(std::string job, LeaseId lease, JobResult result) override;

 private:
  Task<Result<Node>> call(std::string method, std::string path, Node body);

  HttpTransport& transport_;
  Clock& clock_;
  std::string url_;
  std::string name_ = "test";
  long version_ = 0;
};

}  // namespace muster::test
