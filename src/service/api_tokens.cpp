#include "service/api_tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "wire/digest.hpp"
#include "wire/encoding.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr int kFailuresMax = 10;
constexpr Duration kFailuresFor = 1min;
constexpr std::size_t kAddressesMax = 10'000;
constexpr std::size_t kNameMax = 64;
constexpr std::string_view kScheme = "bearer ";
constexpr std::string_view kPrefix = "mus_";  // For scanners of leaked secrets.

constexpr std::array<std::pair<std::string_view, ApiRole>, 3> kRoles{
    {{"viewer", ApiRole::viewer}, {"operator", ApiRole::operator_}, {"admin", ApiRole::admin}}};

std::string hash_of(std::string_view token) { return wire::hex_encode(wire::sha256(token)); }

bool is_name(std::string_view name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= kNameMax &&
         std::all_of(name.begin(), name.end(), is_plain);
}

}  // namespace

std::string to_string(ApiRole role) {
  for (const auto& [name, one] : kRoles) {
    if (one == role) return std::string(name);
  }
  return "none";
}

std::optional<ApiRole> parse_role(std::string_view text) {
  for (const auto& [name, role] : kRoles) {
    if (name == text) return role;
  }
  return std::nullopt;
}

Task<Status> ApiTokens::load() {
  Task<Result<std::vector<ApiToken>>> listing = store_.list_tokens();
  Result<std::vector<ApiToken>> kept = co_await std::move(listing);
  if (!kept) co_return tl::unexpected<Error>(kept.error());
  by_hash_.clear();
  for (ApiToken& token : *kept) {
    std::string hash = token.hash;
    by_hash_.emplace(std::move(hash), std::move(token));
  }
  co_return Status();
}

Task<Result<std::string>> ApiTokens::create(std::string name, ApiRole role, Duration life,
                                            std::string by) {
  if (!is_name(name)) {
    co_return fail(ErrorKind::invalid_input, fmt::format("\"{}\" is no name of a token", name),
                   fmt::format("Use letters, digits, - _ and ., at most {} of them.", kNameMax));
  }
  std::string token = std::string(kPrefix) + random_hex(random_, 64);
  ApiToken kept;
  kept.name = std::move(name);
  kept.role = to_string(role);
  kept.hash = hash_of(token);
  kept.created_by = std::move(by);
  kept.created_at = clock_.wall();
  if (life > Duration{}) kept.expires_at = kept.created_at + life;
  Task<Status> adding = store_.add_token(kept);
  const Status added = co_await std::move(adding);
  if (!added) co_return tl::unexpected<Error>(added.error());
  std::string hash = kept.hash;
  by_hash_.emplace(std::move(hash), std::move(kept));
  co_return token;
}

Task<Status> ApiTokens::revoke(std::string name) {
  Task<Status> removing = store_.remove_token(name);
  const Status removed = co_await std::move(removing);
  if (!removed) co_return tl::unexpected<Error>(removed.error());
  std::erase_if(by_hash_, [&](const auto& one) { return one.second.name == name; });
  co_return Status();
}

std::vector<ApiToken> ApiTokens::list() const {
  std::vector<ApiToken> all;
  for (const auto& [hash, token] : by_hash_) all.push_back(token);
  std::sort(all.begin(), all.end(),
            [](const ApiToken& a, const ApiToken& b) { return a.name < b.name; });
  return all;
}

Result<ApiCaller> ApiTokens::find(std::string_view authorization, const std::string& peer_address) {
  std::string scheme(authorization.substr(0, kScheme.size()));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (scheme != kScheme) {
    return fail(ErrorKind::unauthenticated, "there is no token",
                "Send Authorization: Bearer TOKEN; muster token create makes one.");
  }
  // Looked up by its hash: how long that takes says nothing about a token.
  const auto found = by_hash_.find(hash_of(authorization.substr(kScheme.size())));
  constexpr const char* kRemedy = "Make one with muster token create, on the daemon's machine.";
  if (found != by_hash_.end()) {
    const TimePoint expires_at = found->second.expires_at;
    if (expires_at == TimePoint{} || clock_.wall() < expires_at) {
      return ApiCaller{"token " + found->second.name,
                       parse_role(found->second.role).value_or(ApiRole::none)};
    }
    return fail(ErrorKind::unauthenticated, fmt::format("token {} has expired", found->second.name),
                kRemedy);
  }
  // Only who guesses is held up: behind a proxy all have one address.
  const Duration now = clock_.monotonic();
  if (failures_.size() >= kAddressesMax) failures_.clear();
  Failures& counted = failures_.try_emplace(peer_address, Failures{0, now}).first->second;
  if (now - counted.since > kFailuresFor) counted = {0, now};
  if (counted.count >= kFailuresMax) {
    return fail(ErrorKind::throttled, "too many wrong tokens came from this address",
                "Try again in a minute, with a token of muster token create.");
  }
  ++counted.count;
  return fail(ErrorKind::unauthenticated, "this token is not known", kRemedy);
}

}  // namespace muster
