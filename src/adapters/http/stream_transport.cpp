#include "adapters/http/stream_transport.hpp"

#include <fmt/format.h>

#include <boost/beast/core/ostream.hpp>
#include <boost/beast/http.hpp>
#include <sstream>

#include "wire/url.hpp"

namespace muster::http {

namespace beast = boost::beast;

namespace {

tl::unexpected<Error> unreadable(const boost::system::error_code& error) {
  return fail(ErrorKind::corrupt, fmt::format("no readable HTTP answer: {}", error.message()));
}

std::string serialised(const HttpRequest& request, const wire::Url& url) {
  beast::http::request<beast::http::string_body> message;
  message.method_string(request.method);
  message.target(url.query.empty() ? url.path : url.path + "?" + url.query);
  message.version(11);
  message.set(beast::http::field::host, url.authority());
  message.keep_alive(false);
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.body() = request.body;
  message.prepare_payload();
  std::ostringstream out;
  out << message;
  return out.str();
}

}  // namespace

Task<Result<HttpResponse>> StreamTransport::send(HttpRequest request) {
  const Duration time_max = request.time_max;
  Task<Result<HttpResponse>> exchanging = exchange(std::move(request));
  co_return co_await with_deadline(clock_, time_max, std::move(exchanging));
}

Task<Result<HttpResponse>> StreamTransport::exchange(HttpRequest request) {
  const Result<wire::Url> url = wire::parse_url(request.url);
  if (!url) co_return tl::unexpected<Error>(url.error());
  Result<std::unique_ptr<ByteStream>> stream = co_await opener_.open();
  if (!stream) co_return tl::unexpected<Error>(stream.error());
  std::string bytes = serialised(request, *url);
  const Status sent = co_await (*stream)->write(std::move(bytes));
  if (!sent) co_return tl::unexpected<Error>(sent.error());

  beast::http::response_parser<beast::http::string_body> parser;
  parser.eager(true);
  parser.body_limit(request.response_bytes_max);
  parser.header_limit(64 << 10);
  std::string pending;
  while (!parser.is_done()) {
    Result<std::string> more = co_await (*stream)->read(64 << 10);
    if (!more) co_return tl::unexpected<Error>(more.error());
    boost::system::error_code error;
    if (more->empty()) {
      if (!parser.got_some()) break;
      parser.put_eof(error);
      if (!error) break;
      co_return fail(ErrorKind::unavailable, "the connection ended before the answer did");
    }
    pending += *more;
    while (!pending.empty() && !parser.is_done()) {
      const std::size_t used =
          parser.put(boost::asio::const_buffer(pending.data(), pending.size()), error);
      pending.erase(0, used);
      if (error == beast::http::error::need_more) break;
      if (error) co_return unreadable(error);
      if (used == 0) break;
    }
  }
  if (!parser.is_header_done()) {
    co_return fail(ErrorKind::unavailable, "the connection ended before an answer came");
  }
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  for (const auto& field : parser.get()) {
    response.headers.emplace_back(field.name_string(), field.value());
  }
  response.body = std::move(parser.get().body());
  co_return response;
}

}  // namespace muster::http
