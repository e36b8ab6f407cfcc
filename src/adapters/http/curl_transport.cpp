#include "adapters/http/curl_transport.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <boost/asio/error.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>

#include "base/check.hpp"
#include "base/event.hpp"
#include "base/task.hpp"
#include "wire/url.hpp"

namespace muster::http {

namespace asio = boost::asio;

namespace {

struct CurlFree {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Transfer {
  explicit Transfer(const Executor& executor) : done(executor) {}
  std::unique_ptr<CURL, CurlFree> easy{curl_easy_init()};
  std::unique_ptr<curl_slist, CurlFree> headers;
  HttpRequest request;
  HttpResponse response;
  Event done;
  bool is_done = false;
  bool is_too_large = false;
  CURLcode code = CURLE_OK;
};

std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::size_t length = size * count;
  if (transfer.response.body.size() + length > transfer.request.response_bytes_max) {
    transfer.is_too_large = true;
    return 0;
  }
  transfer.response.body.append(bytes, length);
  return length;
}

std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  std::string_view line(bytes, size * count);
  if (line.starts_with("HTTP/")) transfer.response.headers.clear();
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == '\r' || value.back() == '\n' || value.back() == ' ')) {
    value.remove_suffix(1);
  }
  transfer.response.headers.emplace_back(line.substr(0, colon), value);
  return size * count;
}

tl::unexpected<Error> failure_of(const Transfer& transfer) {
  const std::string host = wire::parse_url(transfer.request.url)
                               .map([](const wire::Url& url) { return url.authority(); })
                               .value_or(transfer.request.url);
  if (transfer.is_too_large) {
    return fail(ErrorKind::corrupt, fmt::format("{} answered with over {} bytes", host,
                                                transfer.request.response_bytes_max));
  }
  switch (transfer.code) {
    case CURLE_OPERATION_TIMEDOUT:
      return fail(ErrorKind::timeout, fmt::format("{} did not answer within {}", host,
                                                  format_duration(transfer.request.time_max)));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return fail(ErrorKind::unavailable, fmt::format("the name of {} cannot be resolved", host),
                  "Check the endpoint and region, and this machine's DNS.");
    case CURLE_COULDNT_CONNECT:
      return fail(ErrorKind::unavailable, fmt::format("no connection to {}", host),
                  "Check that it runs and that no firewall or proxy stands between.");
    case CURLE_SSL_CONNECT_ERROR:
      return fail(ErrorKind::unavailable,
                  fmt::format("no TLS with {}: {}", host, curl_easy_strerror(transfer.code)),
                  "Does it speak TLS at this port? Plain HTTP begins with http://.");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return fail(ErrorKind::unavailable,
                  fmt::format("the TLS certificate of {} was not accepted: {}", host,
                              curl_easy_strerror(transfer.code)),
                  "If a proxy re-signs traffic, name its CA in AWS_CA_BUNDLE.");
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
      return fail(ErrorKind::unavailable, fmt::format("{} ended the connection early", host));
    default:
      return fail(ErrorKind::corrupt, fmt::format("no readable HTTP answer from {}: {}", host,
                                                  curl_easy_strerror(transfer.code)));
  }
}

}  // namespace

/// libcurl's multi interface on asio: curl says which sockets and times matter, asio waits.
class CurlTransport::Loop {
 public:
  explicit Loop(const Executor& executor) : executor_(executor), timer_(executor) {
    static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
    MUSTER_CHECK(started == CURLE_OK);
    multi_ = curl_multi_init();
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Loop::on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Loop::on_timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  }
  ~Loop() {
    curl_multi_cleanup(multi_);
    *is_alive_ = false;
    for (auto& [fd, watch] : sockets_) {
      watch->wanted = 0;
      watch->socket.release();
    }
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] const Executor& executor() const { return executor_; }
  void add(Transfer& transfer) { curl_multi_add_handle(multi_, transfer.easy.get()); }
  void remove(Transfer& transfer) { curl_multi_remove_handle(multi_, transfer.easy.get()); }

 private:
  struct Watch {
    Watch(const Executor& executor, int fd) : socket(executor, fd) {}
    asio::posix::stream_descriptor socket;
    int wanted = 0;
    bool reads = false;
    bool writes = false;
  };

  static int on_socket(CURL*, curl_socket_t fd, int what, void* user, void*) {
    auto& loop = *static_cast<Loop*>(user);
    const auto found = loop.sockets_.find(fd);
    if (what == CURL_POLL_REMOVE) {
      if (found == loop.sockets_.end()) return 0;
      found->second->wanted = 0;
      found->second->socket.release();
      loop.sockets_.erase(found);
      return 0;
    }
    std::shared_ptr<Watch>& watch = loop.sockets_[fd];
    if (!watch) watch = std::make_shared<Watch>(loop.executor_, fd);
    watch->wanted = what;
    loop.wait(watch, fd);
    return 0;
  }

  // The watch is shared with its pending waits, which may complete after curl dropped the socket.
  void wait(const std::shared_ptr<Watch>& watch, int fd) {
    const auto ready = [this, watch, fd](bool is_read) {
      return [this, watch, fd, is_read](const boost::system::error_code& error) {
        (is_read ? watch->reads : watch->writes) = false;
        if (error == asio::error::operation_aborted || watch->wanted == 0) return;
        act(fd, error ? CURL_CSELECT_ERR : is_read ? CURL_CSELECT_IN : CURL_CSELECT_OUT);
        const auto still = sockets_.find(fd);
        if (still != sockets_.end() && still->second == watch) wait(watch, fd);
      };
    };
    if ((watch->wanted & CURL_POLL_IN) != 0 && !watch->reads) {
      watch->reads = true;
      watch->socket.async_wait(asio::posix::stream_descriptor::wait_read, ready(true));
    }
    if ((watch->wanted & CURL_POLL_OUT) != 0 && !watch->writes) {
      watch->writes = true;
      watch->socket.async_wait(asio::posix::stream_descriptor::wait_write, ready(false));
    }
  }

  static int on_timer(CURLM*, long timeout_ms, void* user) {
    auto& loop = *static_cast<Loop*>(user);
    loop.timer_.cancel();
    if (timeout_ms < 0) return 0;
    loop.timer_.expires_after(std::chrono::milliseconds(timeout_ms));
    loop.timer_.async_wait([&loop, alive = loop.is_alive_](const boost::system::error_code& error) {
      if (!error && *alive) loop.act(CURL_SOCKET_TIMEOUT, 0);
    });
    return 0;
  }

  void act(curl_socket_t fd, int events) {
    int running = 0;
    curl_multi_socket_action(multi_, fd, events, &running);
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      Transfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      transfer->code = message->data.result;
      transfer->is_done = true;
      transfer->done.notify_all();
    }
  }

  Executor executor_;
  asio::steady_timer timer_;
  CURLM* multi_ = nullptr;
  std::map<int, std::shared_ptr<Watch>> sockets_;
  std::shared_ptr<bool> is_alive_ =
      std::make_shared<bool>(true);  // Shared with the timer's handler.
};

CurlTransport::CurlTransport(const Executor& executor, CurlOptions options)
    : loop_(std::make_unique<Loop>(executor)), options_(std::move(options)) {}

CurlTransport::~CurlTransport() = default;

Task<Result<HttpResponse>> CurlTransport::send(HttpRequest request) {
  const Result<wire::Url> url = wire::parse_url(request.url);
  if (!url) co_return tl::unexpected<Error>(url.error());
  Transfer transfer(loop_->executor());
  transfer.request = std::move(request);
  CURL* easy = transfer.easy.get();
  const auto millis = [](Duration duration) {
    return static_cast<long>(
        std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
  };
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
  curl_easy_setopt(easy, CURLOPT_URL, transfer.request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 20L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, millis(transfer.request.connect_time_max));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, millis(transfer.request.time_max));
  curl_easy_setopt(easy, CURLOPT_USERAGENT, options_.user_agent.c_str());
  if (!options_.unix_socket.empty()) {
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options_.unix_socket.c_str());
  }
  if (!options_.ca_bundle.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_bundle.c_str());
  }
  if (!transfer.request.uses_proxy || url->host.starts_with("169.254.")) {
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  }
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  const bool has_body = !transfer.request.body.empty() || transfer.request.method == "POST" ||
                        transfer.request.method == "PUT";
  if (transfer.request.method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (has_body) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer.request.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(transfer.request.body.size()));
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, transfer.request.method.c_str());
  curl_slist* list = curl_slist_append(nullptr, "Expect:");
  bool has_type = false;
  for (const auto& [name, value] : transfer.request.headers) {
    has_type = has_type || header_value({{name, "x"}}, "content-type") == "x";
    list = curl_slist_append(list, fmt::format("{}: {}", name, value).c_str());
  }
  if (!has_type) list = curl_slist_append(list, "Content-Type:");
  transfer.headers.reset(list);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);

  struct InMulti {
    Loop& loop;
    Transfer& transfer;
    ~InMulti() { loop.remove(transfer); }
  };
  loop_->add(transfer);
  const InMulti in_multi{*loop_, transfer};
  while (!transfer.is_done) co_await transfer.done.wait();
  if (transfer.code != CURLE_OK) co_return failure_of(transfer);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  transfer.response.status = static_cast<int>(status);
  co_return std::move(transfer.response);
}

}  // namespace muster::http
