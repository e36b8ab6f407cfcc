#include "wire/mime.hpp"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "wire/encoding.hpp"

namespace muster::wire {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// Reads headers up to the empty line and leaves `text` at the body.
std::map<std::string, std::string> read_headers(std::string_view& text) {
  std::map<std::string, std::string> headers;
  std::string last;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.empty()) break;
    if ((line.front() == ' ' || line.front() == '\t') && !last.empty()) {
      headers[last] += std::string(" ") + std::string(trimmed(line));
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    last = lower(line.substr(0, colon));
    headers[last] = std::string(trimmed(line.substr(colon + 1)));
  }
  return headers;
}

std::optional<std::string> boundary_of(const std::string& content_type) {
  const std::size_t at = lower(content_type).find("boundary=");
  if (at == std::string::npos) return std::nullopt;
  std::string_view value = std::string_view(content_type).substr(at + 9);
  if (value.starts_with('"')) {
    value.remove_prefix(1);
    return std::string(value.substr(0, value.find('"')));
  }
  return std::string(trimmed(value.substr(0, value.find(';'))));
}

std::string without_white_space(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '\n' && c != '\r' && c != ' ' && c != '\t') out += c;
  }
  return out;
}

Result<MimePart> read_part(std::string_view text) {
  auto headers = read_headers(text);
  MimePart part;
  const std::string type = headers["content-type"];
  part.media_type = lower(trimmed(std::string_view(type).substr(0, type.find(';'))));
  if (part.media_type.empty()) part.media_type = "text/plain";
  const std::string encoding = lower(headers["content-transfer-encoding"]);
  if (encoding == "base64") {
    std::optional<std::string> body = base64_decode(without_white_space(text));
    if (!body) return fail(ErrorKind::invalid_input, "a MIME part is not readable as base64");
    part.body = std::move(*body);
  } else if (encoding.empty() || encoding == "7bit" || encoding == "8bit" || encoding == "binary") {
    part.body = std::string(text);
  } else {
    return fail(ErrorKind::invalid_input,
                fmt::format("MIME transfer encoding \"{}\" is not supported", encoding),
                "Use 7bit or base64.");
  }
  return part;
}

}  // namespace

Result<std::vector<MimePart>> parse_multipart(std::string_view text) {
  auto headers = read_headers(text);
  const std::optional<std::string> boundary = boundary_of(headers["content-type"]);
  if (!boundary || boundary->empty()) {
    return fail(ErrorKind::invalid_input, "a MIME multi-part document without a boundary");
  }
  const std::string mark = "--" + *boundary;
  std::vector<MimePart> parts;
  std::optional<std::size_t> start;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trimmed(text.substr(at, end - at));
    if (line == mark || line == mark + "--") {
      if (start && parts.size() < 100) {
        std::string_view body = text.substr(*start, at - *start);
        if (body.ends_with('\n')) body.remove_suffix(1);
        if (body.ends_with('\r')) body.remove_suffix(1);
        Result<MimePart> part = read_part(body);
        if (!part) return tl::unexpected<Error>(part.error());
        parts.push_back(std::move(*part));
      }
      if (line != mark) return parts;
      start = end + 1;
    }
    at = end + 1;
  }
  return fail(ErrorKind::invalid_input, "a MIME multi-part document without its closing boundary");
}

std::string write_multipart(const std::vector<MimePart>& parts) {
  std::string boundary = "==muster==";
  const auto stands_in_a_part = [&] {
    for (const MimePart& part : parts) {
      if (part.body.find(boundary) != std::string::npos) return true;
    }
    return false;
  };
  while (stands_in_a_part()) boundary += "=";
  std::string out = fmt::format(
      "Content-Type: multipart/mixed; boundary=\"{}\"\nMIME-Version: 1.0\n\n", boundary);
  for (const MimePart& part : parts) {
    out += fmt::format("--{}\nContent-Type: {}; charset=\"utf-8\"\nMIME-Version: 1.0\n\n{}\n",
                       boundary, part.media_type, part.body);
  }
  return out + fmt::format("--{}--\n", boundary);
}

}  // namespace muster::wire
