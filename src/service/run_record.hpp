#pragma once

#include <string>
#include <vector>

#include "base/host_key.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "fleet/pool.hpp"
#include "pipeline/stage.hpp"
#include "ports/random.hpp"

namespace muster {

/// What a run needs to go on after a crash. It holds secrets, so it is kept encrypted.
struct RunPlan {
  std::string cluster;
  std::string region;
  std::string aws_profile;
  Pool pool;
  pipeline::Stage stage;
  std::string bundle_ref;
  std::string bundle_commit;
  Duration time_max = std::chrono::hours{1};
};

/// Encrypts under a key derived from the cluster's secret.
[[nodiscard]] std::string seal_plan(const RunPlan& plan, const Secret& cluster_secret,
                                    Random& random);

/// Errors: corrupt (another cluster's, or damaged).
[[nodiscard]] Result<RunPlan> unseal_plan(const std::string& sealed, const Secret& cluster_secret);

/// One `type base64` a line, and back.
[[nodiscard]] std::string write_host_keys(const std::vector<HostKey>& keys);
[[nodiscard]] std::vector<HostKey> read_host_keys(const std::string& text);

}  // namespace muster
