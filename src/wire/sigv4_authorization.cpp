#include <fmt/format.h>

#include "wire/sigv4.hpp"

namespace muster::wire {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text = text.substr(end + 1);
  }
}

}  // namespace

Result<SigV4Authorization> parse_authorization(std::string_view header) {
  const auto refuse = [](std::string_view why) {
    return fail(ErrorKind::invalid_input, fmt::format("the Authorization header {}", why));
  };
  if (!header.starts_with(kAlgorithm)) return refuse("is not of AWS4-HMAC-SHA256");
  SigV4Authorization out;
  for (std::string_view part : split(header.substr(kAlgorithm.size()), ',')) {
    while (part.starts_with(' ')) part.remove_prefix(1);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) return refuse("has a part without a value");
    const std::string_view name = part.substr(0, equals);
    const std::string_view value = part.substr(equals + 1);
    if (name == "Signature") {
      out.signature = std::string(value);
    } else if (name == "SignedHeaders") {
      for (const std::string_view one : split(value, ';')) out.signed_headers.emplace_back(one);
    } else if (name == "Credential") {
      const std::vector<std::string_view> parts = split(value, '/');
      if (parts.size() < 5 || parts.back() != "aws4_request") return refuse("has a broken scope");
      const std::size_t last = parts.size() - 1;
      for (std::size_t i = 0; i + 4 <= last; ++i) {
        out.access_key_id += (i == 0 ? "" : "/") + std::string(parts[i]);
      }
      out.scope = {std::string(parts[last - 3]), std::string(parts[last - 2]),
                   std::string(parts[last - 1])};
    }
  }
  if (out.access_key_id.empty() || out.signed_headers.empty() || out.signature.empty()) {
    return refuse("lacks a credential, signed headers or a signature");
  }
  return out;
}

}  // namespace muster::wire
