#include "adapters/aws/retry.hpp"

#include <algorithm>
#include <map>

#include "base/document.hpp"

namespace muster::aws {
namespace {

constexpr int kQuotaMax = 500;

const std::map<std::string_view, ErrorKind>& kinds() {
  using enum ErrorKind;
  static const std::map<std::string_view, ErrorKind> table{
      {"RequestLimitExceeded", throttled},
      {"Throttling", throttled},
      {"ThrottlingException", throttled},
      {"ThrottledException", throttled},
      {"RequestThrottled", throttled},
      {"RequestThrottledException", throttled},
      {"TooManyRequestsException", throttled},
      {"EC2ThrottledException", throttled},
      {"BandwidthLimitExceeded", throttled},
      {"SlowDown", throttled},
      {"LimitExceededException", throttled},
      {"ProvisionedThroughputExceededException", throttled},
      {"TransactionInProgressException", throttled},
      {"PriorRequestNotComplete", unavailable},
      {"InternalError", unavailable},
      {"InternalFailure", unavailable},
      {"ServerInternal", unavailable},
      {"Unavailable", unavailable},
      {"ServiceUnavailable", unavailable},
      {"RetryableError", unavailable},
      {"ConcurrentTagAccess", unavailable},
      {"RequestTimeout", unavailable},
      {"RequestTimeoutException", unavailable},
      {"InsufficientInstanceCapacity", capacity_unavailable},
      {"InsufficientHostCapacity", capacity_unavailable},
      {"InsufficientCapacity", capacity_unavailable},
      {"InsufficientVolumeCapacity", capacity_unavailable},
      {"InsufficientAddressCapacity", capacity_unavailable},
      {"InsufficientFreeAddressesInSubnet", capacity_unavailable},
      {"UnfulfillableCapacity", capacity_unavailable},
      {"SpotMaxPriceTooLow", capacity_unavailable},
      {"ReservationCapacityExceeded", capacity_unavailable},
      {"Unsupported", capacity_unavailable},
      {"VcpuLimitExceeded", quota_exceeded},
      {"InstanceLimitExceeded", quota_exceeded},
      {"MaxSpotInstanceCountExceeded", quota_exceeded},
      {"MaxFleetCountExceeded", quota_exceeded},
      {"VolumeLimitExceeded", quota_exceeded},
      {"MaxIOPSLimitExceeded", quota_exceeded},
      {"ResourceCountExceeded", quota_exceeded},
      {"ResourceLimitExceeded", quota_exceeded},
      {"NetworkInterfaceLimitExceeded", quota_exceeded},
      {"RequestResourceCountExceeded", quota_exceeded},
      {"KeyPairLimitExceeded", quota_exceeded},
      {"TagLimitExceeded", quota_exceeded},
      {"UnauthorizedOperation", forbidden},
      {"OptInRequired", forbidden},
      {"PendingVerification", forbidden},
      {"Blocked", forbidden},
      {"AuthFailure.ServiceLinkedRoleCreationNotPermitted", forbidden},
      {"AuthFailure", unauthenticated},
      {"InvalidClientTokenId", unauthenticated},
      {"SignatureDoesNotMatch", unauthenticated},
      {"MissingAuthenticationToken", unauthenticated},
      {"RequestExpired", unauthenticated},
      {"ExpiredToken", unauthenticated},
      {"UnrecognizedClientException", unauthenticated},
      {"IncorrectInstanceState", conflict},
      {"IncorrectState", conflict},
      {"InvalidState", conflict},
      {"OperationNotPermitted", conflict},
      {"UnsupportedOperation", conflict},
      {"DependencyViolation", conflict},
      {"IdempotentParameterMismatch", conflict},
      {"IdempotentInstanceTerminated", conflict},
      {"DryRunOperation", conflict},
  };
  return table;
}

}  // namespace

ErrorKind classify(std::string_view code, int status) {
  const auto found = kinds().find(code);
  if (found != kinds().end()) return found->second;
  if (code.find(".NotFound") != std::string_view::npos) return ErrorKind::not_found;
  if (status == 429) return ErrorKind::throttled;
  if (status >= 500) return ErrorKind::unavailable;
  if (status == 401) return ErrorKind::unauthenticated;
  if (status == 403) return ErrorKind::forbidden;
  return ErrorKind::invalid_input;
}

bool is_throttle(std::string_view code, int status) {
  return classify(code, status) == ErrorKind::throttled;
}

std::optional<Duration> RetryPolicy::delay_after(int attempt, const Error& error,
                                                 std::optional<Duration> retry_after) {
  using namespace std::chrono_literals;
  if (attempt >= attempts_max_ || !is_retryable(error.kind)) return std::nullopt;
  const bool is_throttled = error.kind == ErrorKind::throttled;
  const int cost = is_throttled ? 5 : 14;
  if (quota_ < cost) return std::nullopt;
  quota_ -= cost;
  last_cost_ = cost;
  const Duration base = is_throttled ? Duration(1s) : Duration(50ms);
  const Duration ceiling = std::min<Duration>(20s, base * (1LL << std::min(attempt - 1, 16)));
  const double share = static_cast<double>(random_.next() >> 11) / 9007199254740992.0;
  Duration delay(static_cast<Duration::rep>(share * static_cast<double>(ceiling.count())));
  if (retry_after) delay = std::max(delay, std::min(*retry_after, delay + Duration(5s)));
  return delay;
}

void RetryPolicy::succeeded(int attempt) {
  quota_ = std::min(kQuotaMax, quota_ + (attempt > 1 ? last_cost_ : 1));
}

int attempts_max(const Environment& environment, const Profile& profile) {
  const std::string text = variable(environment, "AWS_MAX_ATTEMPTS");
  const auto number = parse_integer(text.empty() ? profile.get("max_attempts") : text);
  return number && *number >= 1 && *number <= 20 ? static_cast<int>(*number) : 3;
}

}  // namespace muster::aws
