#include "wire/url.hpp"

#include <fmt/format.h>

#include "base/document.hpp"

namespace muster::wire {

std::string Url::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  const bool is_default = (scheme == "http" && port == 80) || (scheme == "https" && port == 443);
  return is_default ? name : fmt::format("{}:{}", name, port);
}

Result<Url> parse_url(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::invalid_input, fmt::format("\"{}\" is no URL: {}", text, why),
                "Write it as http://host:port/ or https://host/.");
  };
  Url url;
  if (text.size() > 8192) return fail(ErrorKind::invalid_input, "a URL of over 8192 characters");
  const std::size_t colon = text.find("://");
  url.scheme = std::string(text.substr(0, colon == std::string_view::npos ? 0 : colon));
  if (url.scheme != "http" && url.scheme != "https")
    return refuse("it starts with neither http:// nor https://");
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
      return refuse("it holds a space or control character");
  }
  std::string_view rest = text.substr(colon + 3);
  const std::size_t end = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end);
  if (rest.find('#') != std::string_view::npos) return refuse("it has a fragment");
  if (authority.find('@') != std::string_view::npos) return refuse("it has a user");
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return refuse("its address has no closing bracket");
    url.host = std::string(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
  } else {
    const std::size_t mark = authority.find(':');
    url.host = std::string(authority.substr(0, mark));
    port = mark == std::string_view::npos ? std::string_view{} : authority.substr(mark);
  }
  if (url.host.empty()) return refuse("it names no host");
  constexpr std::string_view kAddress = "0123456789abcdefABCDEF:.";
  constexpr std::string_view kName =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._";
  const std::string_view allowed = authority.starts_with('[') ? kAddress : kName;
  if (url.host.find_first_not_of(allowed) != std::string::npos) {
    return refuse("its host is neither a name nor an address");
  }
  url.port = url.scheme == "http" ? 80 : 443;
  if (!port.empty()) {
    const auto number = port.starts_with(':') ? parse_integer(port.substr(1)) : std::nullopt;
    if (!number || *number < 1 || *number > 65535)
      return refuse("its port is no number from 1 to 65535");
    url.port = static_cast<int>(*number);
  }
  const std::size_t question = rest.find('?');
  url.path = std::string(rest.substr(0, question));
  if (url.path.empty()) url.path = "/";
  if (question != std::string_view::npos) url.query = std::string(rest.substr(question + 1));
  return url;
}

}  // namespace muster::wire
