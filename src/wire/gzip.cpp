#include "wire/gzip.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

#include "base/check.hpp"

namespace muster::wire {
namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib: 16 more means a gzip header.

Bytef* bytes_of(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

Result<std::string> gunzip(std::string_view bytes, std::size_t bytes_max) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) return fail(ErrorKind::corrupt, "zlib failed");
  stream.next_in = bytes_of(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  int state = Z_OK;
  while (state == Z_OK && out.size() <= bytes_max) {
    const std::size_t had = out.size();
    out.resize(had + 16384);
    stream.next_out = bytes_of(std::string_view(out).substr(had));
    stream.avail_out = 16384;
    state = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (out.size() == had && state == Z_OK) break;
  }
  inflateEnd(&stream);
  if (out.size() > bytes_max) {
    return fail(ErrorKind::corrupt,
                fmt::format("the gzip stream unpacks to over {} bytes", bytes_max));
  }
  if (state != Z_STREAM_END) return fail(ErrorKind::corrupt, "the gzip stream is damaged or cut");
  return out;
}

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  MUSTER_CHECK(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, 9,
                            Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 32, '\0');
  stream.next_in = bytes_of(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = bytes_of(out);
  stream.avail_out = static_cast<uInt>(out.size());
  MUSTER_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace muster::wire
