#include "cli/daemon_client.hpp"

#include <fmt/format.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>

#include "cli/configuration.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace muster::cli {
namespace {

std::string remote_url() {
  const char* given = std::getenv("MUSTER_URL");
  std::string url = given == nullptr ? "" : given;
  while (url.ends_with('/')) url.pop_back();
  return url;
}

http::CurlOptions options() {
  http::CurlOptions options;
  if (remote_url().empty()) options.unix_socket = daemon_socket();
  return options;
}

/// Errors: unauthenticated, with code E0608 (no file, or nothing in it).
Result<std::string> remote_token() {
  const char* path = std::getenv("MUSTER_TOKEN_FILE");
  constexpr const char* kRemedy = "Put a token of muster token create into it, readable for you.";
  if (path == nullptr || *path == '\0') {
    return fail(ErrorKind::unauthenticated, "MUSTER_URL is set, and MUSTER_TOKEN_FILE is not",
                "Set it to a file that holds a token of muster token create.", "E0608");
  }
  std::ifstream file(path);
  std::string token;
  if (!file) {
    return fail(ErrorKind::unauthenticated,
                fmt::format("MUSTER_TOKEN_FILE {} cannot be read: {}", path, std::strerror(errno)),
                kRemedy, "E0608");
  }
  if (!(file >> token)) {
    return fail(ErrorKind::unauthenticated,
                fmt::format("MUSTER_TOKEN_FILE {} holds no token", path), kRemedy, "E0608");
  }
  return token;
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
  if (code == "unauthenticated" || code == "throttled") return "E0608";
  return "";
}

}  // namespace

std::string daemon_socket() { return state_folder() + "/api.sock"; }

std::string path_segment(const std::string& text) { return wire::percent_encode(text); }

DaemonClient::DaemonClient()
    : url_(remote_url()), transport_(wiring_.context.get_executor(), options()) {}

HttpRequest DaemonClient::request(const std::string& path) const {
  HttpRequest request;
  request.url = (url_.empty() ? "http://muster" : url_) + "/api/v1" + path;
  return request;
}

Result<Node> DaemonClient::get(const std::string& path, Duration time_max) {
  HttpRequest asked = request(path);
  asked.time_max = time_max;
  const Result<HttpResponse> response = exchange(std::move(asked));
  return response ? read(*response) : tl::unexpected<Error>(response.error());
}

Result<std::string> DaemonClient::get_text(const std::string& path) {
  Result<HttpResponse> response = exchange(request(path));
  if (!response) return tl::unexpected<Error>(response.error());
  if (response->status == 200) return std::move(response->body);
  return tl::unexpected<Error>(read(*response).error());
}

Result<Node> DaemonClient::post(const std::string& path, const std::string& reason) {
  HttpRequest asked = request(path);
  asked.method = "POST";
  asked.time_max = std::chrono::seconds{60};
  if (!reason.empty()) {
    Node body = Node::mapping();
    body.set("reason", Node::string(reason));
    asked.body = wire::to_json(body);
  }
  const Result<HttpResponse> response = exchange(std::move(asked));
  return response ? read(*response) : tl::unexpected<Error>(response.error());
}

void DaemonClient::sleep(Duration time) {
  wiring_.context.restart();
  boost::asio::co_spawn(wiring_.context, wiring_.clock.sleep(time),
                        [](const std::exception_ptr&) {});
  wiring_.context.run();
}

Result<HttpResponse> DaemonClient::exchange(HttpRequest request) {
  if (!url_.empty()) {
    const Result<std::string> token = remote_token();
    if (!token) return tl::unexpected<Error>(token.error());
    request.headers.emplace_back("Authorization", "Bearer " + *token);
  }
  // In the clear, nobody in between is to read the token.
  request.uses_proxy = url_.starts_with("https://");
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
    const bool is_absent = response.error().message.starts_with("no connection");
    if (is_absent && !url_.empty()) {
      return fail(ErrorKind::unavailable, fmt::format("no muster daemon answers at {}", url_),
                  "Is MUSTER_URL right, and api.listen set in its muster.yml?", "E0604");
    }
    if (!url_.empty()) {
      if (is_order) response.error().message += "; it may have been done all the same";
      return tl::unexpected<Error>(response.error());
    }
    const std::string path = daemon_socket();
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
      return fail(ErrorKind::invalid_input, fmt::format("{} is too long for a socket", path),
                  "Set MUSTER_STATE to a folder with a shorter path.");
    }
    if (::access(path.c_str(), F_OK) == 0 && ::access(path.c_str(), R_OK | W_OK) != 0) {
      return fail(ErrorKind::forbidden, fmt::format("{} is another user's", path),
                  "Ask as the user that runs the daemon, or as root.", "E0607");
    }
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
  if (!document && response.status != 200) {
    // A proxy before a daemon that is being started again says so too.
    const bool is_away = response.status >= 502 && response.status <= 504;
    return fail(is_away ? ErrorKind::unavailable : ErrorKind::corrupt,
                fmt::format("status {}, and no answer of muster's", response.status),
                "Is MUSTER_URL the address of a muster daemon?", "E0604");
  }
  if (!document) return tl::unexpected<Error>(document.error());
  if (response.status == 200) return document;
  const std::string code = document->text_at({"error", "code"});
  std::string page = document->text_at({"error", "page"});
  const bool is_remote = std::getenv("MUSTER_URL") != nullptr;
  if (page.empty() && code == "forbidden" && is_remote) page = "E0608";
  return fail(kind_of(code), document->text_at({"error", "message"}),
              document->text_at({"error", "remedy"}), page.empty() ? page_of(code) : page);
}

}  // namespace muster::cli
