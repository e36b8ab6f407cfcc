#include "cli/daemon_client.hpp"

#include <fmt/format.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "cli/configuration.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace muster::cli {
namespace {

http::CurlOptions options() {
  http::CurlOptions options;
  options.unix_socket = daemon_socket();
  return options;
}

ErrorKind kind_of(const std::string& code) {
  if (code == "invalid_input") return ErrorKind::invalid_input;
  if (code == "unauthenticated") return ErrorKind::unauthenticated;
  if (code == "forbidden") return ErrorKind::forbidden;
  if (code == "not_found") return ErrorKind::not_found;
  if (code == "conflict") return ErrorKind::conflict;
  if (code == "throttled") return ErrorKind::throttled;
  if (code == "unavailable") return ErrorKind::unavailable;
  if (code == "timeout") return ErrorKind::timeout;
  return ErrorKind::corrupt;
}

/// Of `muster help`; empty: that of its kind.
std::string page_of(const std::string& code) {
  if (code == "not_found") return "E0605";
  if (code == "conflict") return "E0606";
  if (code == "forbidden") return "E0607";
  return "";
}

}  // namespace

std::string daemon_socket() { return state_folder() + "/api.sock"; }

std::string path_segment(const std::string& text) { return wire::percent_encode(text); }

DaemonClient::DaemonClient() : transport_(wiring_.context.get_executor(), options()) {}

Result<Node> DaemonClient::get(const std::string& path, Duration time_max) {
  HttpRequest request;
  request.url = "http://muster/api/v1" + path;
  request.time_max = time_max;
  const Result<HttpResponse> response = exchange(std::move(request));
  return response ? read(*response) : tl::unexpected<Error>(response.error());
}

Result<std::string> DaemonClient::get_text(const std::string& path) {
  HttpRequest request;
  request.url = "http://muster/api/v1" + path;
  Result<HttpResponse> response = exchange(std::move(request));
  if (!response) return tl::unexpected<Error>(response.error());
  if (response->status == 200) return std::move(response->body);
  return tl::unexpected<Error>(read(*response).error());
}

Result<Node> DaemonClient::post(const std::string& path, const std::string& reason) {
  HttpRequest request;
  request.method = "POST";
  request.url = "http://muster/api/v1" + path;
  request.time_max = std::chrono::seconds{60};
  if (!reason.empty()) {
    Node body = Node::mapping();
    body.set("reason", Node::string(reason));
    request.body = wire::to_json(body);
  }
  const Result<HttpResponse> response = exchange(std::move(request));
  return response ? read(*response) : tl::unexpected<Error>(response.error());
}

void DaemonClient::sleep(Duration time) {
  wiring_.context.restart();
  boost::asio::co_spawn(wiring_.context, wiring_.clock.sleep(time),
                        [](const std::exception_ptr&) {});
  wiring_.context.run();
}

Result<HttpResponse> DaemonClient::exchange(HttpRequest request) {
  request.uses_proxy = false;
  request.response_bytes_max = 256 << 20;
  const bool is_order = request.method != "GET";
  Result<HttpResponse> response = fail(ErrorKind::unavailable, "not asked");
  const auto work = [](http::CurlTransport* transport, HttpRequest sent,
                       Result<HttpResponse>* to) -> Task<> {
    Task<Result<HttpResponse>> sending = transport->send(std::move(sent));
    *to = co_await std::move(sending);
  };
  wiring_.context.restart();
  boost::asio::co_spawn(wiring_.context, work(&transport_, std::move(request), &response),
                        [](const std::exception_ptr& failure) {
                          if (failure) std::rethrow_exception(failure);
                        });
  // curl keeps its connection: not until nothing is left to wait for, until this is answered.
  while (!response && response.error().message == "not asked") {
    if (wiring_.context.run_one() == 0) break;
  }
  if (!response) {
    const std::string path = daemon_socket();
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
      return fail(ErrorKind::invalid_input, fmt::format("{} is too long for a socket", path),
                  "Set MUSTER_STATE to a folder with a shorter path.");
    }
    if (::access(path.c_str(), F_OK) == 0 && ::access(path.c_str(), R_OK | W_OK) != 0) {
      return fail(ErrorKind::forbidden, fmt::format("{} is another user's", path),
                  "Ask as the user that runs the daemon, or as root.", "E0607");
    }
    const bool is_absent = response.error().message.starts_with("no connection");
    if (!is_absent) {
      if (is_order) response.error().message += "; it may have been done all the same";
      return tl::unexpected<Error>(response.error());
    }
    return fail(ErrorKind::unavailable,
                fmt::format("no muster daemon answers at {}", daemon_socket()),
                "Start one (muster daemon), or set MUSTER_STATE to the folder of the one you mean.",
                "E0604");
  }
  return response;
}

Result<Node> DaemonClient::read(const HttpResponse& response) {
  Result<Node> document = wire::parse_json(response.body, {256 << 20, 64});
  if (!document) return tl::unexpected<Error>(document.error());
  if (response.status == 200) return document;
  const std::string code = document->text_at({"error", "code"});
  const std::string page = document->text_at({"error", "page"});
  return fail(kind_of(code), document->text_at({"error", "message"}),
              document->text_at({"error", "remedy"}), page.empty() ? page_of(code) : page);
}

}  // namespace muster::cli
