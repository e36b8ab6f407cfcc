#pragma once

#include <functional>
#include <string>

#include "ports/ci_server.hpp"
#include "ports/clock.hpp"
#include "ports/random.hpp"
#include "ports/submit_store.hpp"

namespace muster {

/// What is to be run for a submitted job. It holds secrets, so it is kept encrypted.
struct SubmittedWork {
  std::string stage;  ///< The compiled pipeline (muster.stage/1).
  std::string bundle_ref;
  std::string bundle_commit;
};

[[nodiscard]] std::string seal_work(const SubmittedWork& work, const Secret& cluster_secret,
                                    Random& random);
/// Errors: corrupt (another cluster's, or damaged).
[[nodiscard]] Result<SubmittedWork> unseal_work(const std::string& sealed,
                                                const Secret& cluster_secret);

/// `muster submit` as a source of jobs: a queue in the store.
class SubmitQueue : public CiServer {
 public:
  /// Reads the repository that was submitted with a job; empty: there is none.
  using ReadBundle = std::function<Result<std::string>(const std::string& job)>;

  SubmitQueue(SubmitStore& store, Clock& clock, Secret cluster_secret, ReadBundle read_bundle)
      : store_(store),
        clock_(clock),
        cluster_secret_(std::move(cluster_secret)),
        read_bundle_(std::move(read_bundle)) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  Task<Result<std::vector<CiJob>>> list_jobs() override;
  Task<CiNews> wait_for_news(Duration time_max) override;
  Task<Result<WorkOrder>> claim(std::string job, LeaseId lease, InstanceId instance) override;
  Task<Status> give_back(std::string job, LeaseId lease) override;
  Task<Status> finish(std::string job, LeaseId lease, JobResult result) override;

 private:
  SubmitStore& store_;
  Clock& clock_;
  Secret cluster_secret_;
  ReadBundle read_bundle_;
  std::string name_ = "submit";
  long version_ = -1;  // As of the last listing.
};

}  // namespace muster
