#include "adapters/ssh/session.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/system/system_error.hpp>

namespace muster::ssh {

namespace asio = boost::asio;

namespace {

struct KeyFree {
  void operator()(ssh_key key) const { ssh_key_free(key); }
};
using Key = std::unique_ptr<std::remove_pointer_t<ssh_key>, KeyFree>;

/// A peer that vanished is noticed within half a minute, also while nothing is sent.
void watch_peer(int fd) {
  const int on = 1;
  const int idle = 10;
  const int interval = 5;
  const int count = 4;
  const unsigned unanswered_ms = 30'000;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
}

/// Tells one socket from another that has the same descriptor later; 0: it is none.
ino_t socket_number(int fd) {
  struct stat about{};
  return fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode) ? about.st_ino : 0;
}

std::string host_key_types(const std::vector<HostKey>& keys) {
  std::string out;
  for (const HostKey& key : keys) {
    if (!out.empty()) out += ',';
    // An RSA key signs with SHA-2; `ssh-rsa` as a signature is SHA-1.
    out += key.type == "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : key.type;
  }
  return out;
}

std::string shown_key(ssh_key key) {
  unsigned char* hash = nullptr;
  std::size_t size = 0;
  if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &size) != 0) return "unknown";
  char* text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, size);
  std::string out = text == nullptr ? "unknown" : text;
  ssh_string_free_char(text);
  ssh_clean_pubkey_hash(&hash);
  return out;
}

Status check_host_key(ssh_session session, const MachineTarget& target) {
  ssh_key raw = nullptr;
  if (ssh_get_server_publickey(session, &raw) != SSH_OK) {
    return fail(ErrorKind::unavailable, fmt::format("{} showed no host key", target.address));
  }
  const Key shown(raw);
  for (const HostKey& pinned : target.host_keys) {
    ssh_key read = nullptr;
    const int rc = ssh_pki_import_pubkey_base64(pinned.base64.c_str(),
                                                ssh_key_type_from_name(pinned.type.c_str()), &read);
    const Key expected(read);
    if (rc == SSH_OK && ssh_key_cmp(shown.get(), expected.get(), SSH_KEY_CMP_PUBLIC) == 0)
      return {};
  }
  return fail(ErrorKind::unauthenticated,
              fmt::format("another machine answers at {}: its host key is {}, not the one on the "
                          "console of the machine that was launched",
                          target.address, shown_key(shown.get())),
              "Find out who answers there before you try again; nothing was sent to it.",
              "HostKeyMismatch");
}

}  // namespace

Session::Session(const Executor& executor)
    : executor_(executor), socket_(executor), moved_(executor) {}

Session::~Session() {
  if (session_ != nullptr) {
    if (ssh_is_connected(session_) != 0) ssh_disconnect(session_);
    ssh_free(session_);
  }
  // libssh leaves a descriptor that it was given open when it ends the connection itself, and
  // closes it when the peer did (0.10, ssh_disconnect).
  if (descriptor_ >= 0 && socket_number(descriptor_) == descriptor_socket_) ::close(descriptor_);
}

bool Session::is_broken() const {
  return is_broken_ || session_ == nullptr || ssh_is_connected(session_) == 0;
}

tl::unexpected<Error> Session::broken(std::string_view step) const {
  const char* text = session_ == nullptr ? nullptr : ssh_get_error(session_);
  const bool says_why = text != nullptr && *text != '\0' && text != old_error_;
  return fail(ErrorKind::unavailable, fmt::format("the SSH connection failed ({}): {}", step,
                                                  says_why ? text : "it ended"));
}

void Session::note_progress() {
  if (counter_.in_packets == seen_packets_) return;
  seen_packets_ = counter_.in_packets;
  moved_.notify_all();
}

void Session::watch() {
  const auto ready = [self = weak_from_this()](bool is_read) {
    return [self, is_read](const boost::system::error_code&) {
      const std::shared_ptr<Session> session = self.lock();
      if (!session) return;
      (is_read ? session->reads_ : session->writes_) = false;
      session->moved_.notify_all();
    };
  };
  if (!reads_) {
    reads_ = true;
    socket_.async_wait(asio::ip::tcp::socket::wait_read, ready(true));
  }
  if (!writes_ && (ssh_get_poll_flags(session_) & SSH_WRITE_PENDING) != 0) {
    writes_ = true;
    socket_.async_wait(asio::ip::tcp::socket::wait_write, ready(false));
  }
}

Task<> Session::progress() {
  watch();
  co_await moved_.wait();
}

Task<int> Session::finish(std::function<int()> call) {
  struct Guard {
    Session& session;
    bool is_done = false;
    ~Guard() {
      if (!is_done) session.is_broken_ = true;
    }
  } guard{*this};
  while (true) {
    const int result = call();
    note_progress();
    if (result != SSH_AGAIN) {
      guard.is_done = true;
      co_return result;
    }
    co_await progress();
  }
}

Task<Status> open_socket(asio::ip::tcp::socket* socket, std::string address, int port) {
  boost::system::error_code error;
  const auto parsed = asio::ip::make_address(address, error);
  if (error) {
    co_return fail(ErrorKind::invalid_input, fmt::format("\"{}\" is no IP address", address));
  }
  const asio::ip::tcp::endpoint endpoint(parsed, static_cast<unsigned short>(port));
  auto [failure] = co_await socket->async_connect(endpoint, asio::as_tuple(use_task));
  if (!failure) co_return Status();
  if ((co_await cancellation()).cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
  co_return fail(ErrorKind::unavailable,
                 fmt::format("no connection to {}:{}: {}", address, port, failure.message()));
}

Task<Result<std::shared_ptr<Session>>> Session::connect(Executor executor, MachineTarget target) {
  const auto session = std::make_shared<Session>(executor);
  Task<Status> opening = open_socket(&session->socket_, target.address, target.port);
  const Status opened = co_await std::move(opening);
  if (!opened) co_return tl::unexpected<Error>(opened.error());
  boost::system::error_code error;
  session->socket_.set_option(asio::ip::tcp::no_delay(true), error);
  session->socket_.non_blocking(true, error);
  watch_peer(session->socket_.native_handle());

  ssh_session raw = ssh_new();
  session->session_ = raw;
  // libssh may close its descriptor itself, so it gets one of its own.
  int fd = fcntl(session->socket_.native_handle(), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) co_return session->broken("no descriptor is left");
  session->descriptor_ = fd;
  session->descriptor_socket_ = socket_number(fd);
  const int on = 1;
  const bool off = false;
  const std::string types = host_key_types(target.host_keys);
  ssh_options_set(raw, SSH_OPTIONS_PROCESS_CONFIG, &off);
  ssh_options_set(raw, SSH_OPTIONS_HOST, target.address.c_str());
  ssh_options_set(raw, SSH_OPTIONS_FD, &fd);
  ssh_options_set(raw, SSH_OPTIONS_USER, target.user.c_str());
  ssh_options_set(raw, SSH_OPTIONS_NODELAY, &on);
  ssh_options_set(raw, SSH_OPTIONS_HOSTKEYS, types.c_str());
  ssh_set_blocking(raw, 0);
  ssh_set_counters(raw, nullptr, &session->counter_);
  const std::string refused_types =
      fmt::format("{} shows no host key of the kinds on the console ({})", target.address, types);
  Task<int> connecting = session->finish([raw] { return ssh_connect(raw); });
  if (co_await std::move(connecting) != SSH_OK) {
    // A server without a key of a pinned type is another server.
    const std::string text = ssh_get_error(raw);
    if (text.find("no match for method server host key") != std::string::npos) {
      co_return fail(ErrorKind::unauthenticated, refused_types,
                     "Find out who answers there before you try again; nothing was sent to it.",
                     "HostKeyMismatch");
    }
    co_return session->broken("connect");
  }
  const Status is_known = check_host_key(raw, target);
  if (!is_known) {
    ssh_disconnect(raw);
    co_return tl::unexpected<Error>(is_known.error());
  }
  for (const Secret& text : target.private_keys) {
    ssh_key read = nullptr;
    if (ssh_pki_import_privkey_base64(text.reveal().c_str(), nullptr, nullptr, nullptr, &read) !=
        SSH_OK) {
      co_return fail(ErrorKind::invalid_input, "the private SSH key is not readable",
                     "It must be an unencrypted OPENSSH PRIVATE KEY block.");
    }
    const Key key(read);
    int answer = SSH_AUTH_ERROR;
    Task<int> authenticating = session->finish([raw, &key, &answer] {
      answer = ssh_userauth_publickey(raw, nullptr, key.get());
      return answer == SSH_AUTH_AGAIN ? SSH_AGAIN : SSH_OK;
    });
    static_cast<void>(co_await std::move(authenticating));
    if (answer == SSH_AUTH_SUCCESS) {
      session->old_error_ = ssh_get_error(raw);
      co_return session;
    }
    // Whatever else went wrong says nothing of the key.
    if (answer == SSH_AUTH_ERROR || ssh_is_connected(raw) == 0) {
      co_return session->broken("authenticate");
    }
  }
  co_return fail(ErrorKind::unauthenticated,
                 fmt::format("{} refused muster's key for user {}", target.address, target.user),
                 "Check ssh.user of the pool: it must be a user of the image.", "KeyRefused");
}

}  // namespace muster::ssh
