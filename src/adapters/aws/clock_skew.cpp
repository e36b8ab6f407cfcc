#include "adapters/aws/clock_skew.hpp"

namespace muster::aws {
namespace {

constexpr auto kSkewMin = std::chrono::minutes{4};

}  // namespace

bool ClockSkew::may_cause(const std::string& code) {
  return code == "RequestExpired" || code == "AuthFailure" || code == "SignatureDoesNotMatch" ||
         code == "RequestTimeTooSkewed" || code == "RequestInTheFuture" ||
         code == "InvalidSignatureException" || code == "AccessDeniedException";
}

bool ClockSkew::learn(const HttpResponse& response, TimePoint now) {
  const auto date = parse_http_date(header_value(response.headers, "date"));
  if (!date) return false;
  const Duration offset = *date - now;
  const Duration before = offset_;
  const bool is_far = offset >= kSkewMin || offset <= -kSkewMin;
  offset_ = is_far ? offset : Duration{0};
  const Duration change = offset_ > before ? offset_ - before : before - offset_;
  return is_far && change >= kSkewMin;
}

}  // namespace muster::aws
