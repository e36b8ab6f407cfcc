#include "wire/sigv4.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "wire/digest.hpp"

namespace muster::wire {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// Trimmed, runs of white space (folded lines too) as one space.
std::string squeezed(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool is_space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!is_space) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string normalised_path(std::string_view path) {
  std::vector<std::string_view> kept;
  std::size_t at = 0;
  bool ends_in_folder = true;
  while (at < path.size()) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    ends_in_folder = end < path.size() || segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!segment.empty() && segment != "." && segment != "..") kept.push_back(segment);
    at = end + 1;
  }
  std::string out;
  for (const std::string_view segment : kept) out += fmt::format("/{}", segment);
  if (out.empty() || ends_in_folder) out += '/';
  return out;
}

std::map<std::string, std::string> canonical_headers(const Headers& headers) {
  std::map<std::string, std::string> merged;
  for (const auto& [name, value] : headers) {
    const auto [place, is_new] = merged.emplace(lower(name), squeezed(value));
    if (!is_new) place->second += "," + squeezed(value);
  }
  return merged;
}

std::string canonical_query(const Parameters& query) {
  Parameters encoded;
  for (const auto& [name, value] : query) {
    encoded.emplace_back(percent_encode(name), percent_encode(value));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) {
    out += fmt::format("{}{}={}", out.empty() ? "" : "&", name, value);
  }
  return out;
}

SigV4Scope scope_of(TimePoint now, std::string_view region, std::string_view service) {
  return {format_iso8601_basic(now).substr(0, 8), std::string(region), std::string(service)};
}

}  // namespace

std::string SigV4Scope::text() const {
  return fmt::format("{}/{}/{}/aws4_request", date, region, service);
}

std::string signed_header_names(const Headers& headers) {
  std::string out;
  for (const auto& [name, value] : canonical_headers(headers)) {
    if (!out.empty()) out += ';';
    out += name;
  }
  return out;
}

std::string canonical_request(const SigV4Request& request, const SigV4Scope& scope,
                              bool normalises_path) {
  const bool is_s3 = scope.service == "s3";
  const std::string given = request.path.empty() ? "/" : request.path;
  const std::string path =
      is_s3 ? given : percent_encode(normalises_path ? normalised_path(given) : given, true);
  std::string out =
      fmt::format("{}\n{}\n{}\n", request.method, path, canonical_query(request.query));
  for (const auto& [name, value] : canonical_headers(request.headers)) {
    out += fmt::format("{}:{}\n", name, value);
  }
  out += fmt::format("\n{}\n{}", signed_header_names(request.headers), request.payload_hash);
  return out;
}

std::string sigv4_signing_key(const SigV4Scope& scope, const Secret& secret) {
  std::string key = hmac_sha256("AWS4" + secret.reveal(), scope.date);
  key = hmac_sha256(key, scope.region);
  key = hmac_sha256(key, scope.service);
  return hmac_sha256(key, "aws4_request");
}

std::string sigv4_signature(std::string_view canonical, std::string_view amz_date,
                            const SigV4Scope& scope, const Secret& secret) {
  const std::string to_sign = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, amz_date, scope.text(),
                                          hex_encode(sha256(canonical)));
  return hex_encode(hmac_sha256(sigv4_signing_key(scope, secret), to_sign));
}

void sign(SigV4Request& request, const AwsCredentials& credentials, std::string_view region,
          std::string_view service, TimePoint now) {
  const std::string amz_date = format_iso8601_basic(now);
  request.headers.emplace_back("x-amz-date", amz_date);
  if (!credentials.session_token.empty()) {
    request.headers.emplace_back("x-amz-security-token", credentials.session_token.reveal());
  }
  const SigV4Scope scope = scope_of(now, region, service);
  const std::string signature = sigv4_signature(canonical_request(request, scope), amz_date, scope,
                                                credentials.secret_access_key);
  request.headers.emplace_back("authorization",
                               fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}",
                                           kAlgorithm, credentials.access_key_id, scope.text(),
                                           signed_header_names(request.headers), signature));
}

Parameters presign(SigV4Request request, const AwsCredentials& credentials, std::string_view region,
                   std::string_view service, TimePoint now, std::chrono::seconds expires) {
  const SigV4Scope scope = scope_of(now, region, service);
  const std::string amz_date = format_iso8601_basic(now);
  Parameters& query = request.query;
  query.emplace_back("X-Amz-Algorithm", kAlgorithm);
  query.emplace_back("X-Amz-Credential",
                     fmt::format("{}/{}", credentials.access_key_id, scope.text()));
  query.emplace_back("X-Amz-Date", amz_date);
  query.emplace_back("X-Amz-Expires", std::to_string(expires.count()));
  if (!credentials.session_token.empty()) {
    query.emplace_back("X-Amz-Security-Token", credentials.session_token.reveal());
  }
  query.emplace_back("X-Amz-SignedHeaders", signed_header_names(request.headers));
  const std::string signature = sigv4_signature(canonical_request(request, scope), amz_date, scope,
                                                credentials.secret_access_key);
  query.emplace_back("X-Amz-Signature", signature);
  return query;
}

}  // namespace muster::wire
