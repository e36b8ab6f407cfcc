#include "adapters/ssh/ssh_machine.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace muster::ssh {
namespace {

constexpr std::size_t kChannelsMax = 8;
constexpr std::size_t kKeptBytesMax = 1 << 20;
constexpr std::uint32_t kReadBytes = 64 << 10;

/// A channel with its session, which it keeps alive.
class Channel {
 public:
  explicit Channel(std::shared_ptr<Session> session)
      : session_(std::move(session)), channel_(ssh_channel_new(session_->raw())) {
    ++session_->channel_count;
  }
  ~Channel() {
    --session_->channel_count;
    if (channel_ != nullptr) ssh_channel_free(channel_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] Session& session() const { return *session_; }
  [[nodiscard]] ssh_channel raw() const { return channel_; }

  Task<Result<std::string>> read(bool is_error, bool* is_empty) {
    std::string bytes(kReadBytes, '\0');
    const int size =
        ssh_channel_read_nonblocking(channel_, bytes.data(), kReadBytes, is_error ? 1 : 0);
    session_->note_progress();
    *is_empty = size <= 0;
    if (size == SSH_ERROR) co_return session_->broken("read");
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    co_return bytes;
  }

  Task<Status> write(std::string bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const std::size_t part = std::min<std::size_t>(bytes.size() - done, 32 << 10);
      const int size =
          ssh_channel_write(channel_, bytes.data() + done, static_cast<std::uint32_t>(part));
      session_->note_progress();
      if (size == SSH_ERROR || ssh_channel_is_closed(channel_) != 0) {
        co_return session_->broken("write");
      }
      if (size > 0) {
        done += static_cast<std::size_t>(size);
      } else {
        co_await session_->progress();
      }
    }
    Task<int> flushing =
        session_->finish([this] { return ssh_blocking_flush(session_->raw(), 0); });
    if (co_await std::move(flushing) == SSH_ERROR) co_return session_->broken("write");
    co_return Status();
  }

  Task<Status> close_write() {
    if (ssh_channel_send_eof(channel_) == SSH_ERROR) co_return session_->broken("close input");
    Task<int> flushing =
        session_->finish([this] { return ssh_blocking_flush(session_->raw(), 0); });
    if (co_await std::move(flushing) == SSH_ERROR) co_return session_->broken("close input");
    co_return Status();
  }

 private:
  std::shared_ptr<Session> session_;
  ssh_channel channel_;
};

class SshProcess : public RemoteProcess {
 public:
  explicit SshProcess(std::unique_ptr<Channel> channel) : channel_(std::move(channel)) {
    callbacks_.userdata = this;
    callbacks_.channel_exit_signal_function = [](ssh_session, ssh_channel, const char* signal, int,
                                                 const char*, const char*, void* user) {
      static_cast<SshProcess*>(user)->signal_ = signal;
    };
    ssh_callbacks_init(&callbacks_);
    ssh_set_channel_callbacks(channel_->raw(), &callbacks_);
  }
  ~SshProcess() override { ssh_remove_channel_callbacks(channel_->raw(), &callbacks_); }
  SshProcess(const SshProcess&) = delete;
  SshProcess& operator=(const SshProcess&) = delete;

  Task<Result<std::optional<ProcessOutput>>> read() override {
    while (true) {
      const std::uint64_t before = channel_->session().packets();
      for (const bool is_error : {false, true}) {
        bool is_empty = false;
        Task<Result<std::string>> reading = channel_->read(is_error, &is_empty);
        Result<std::string> bytes = co_await std::move(reading);
        if (!bytes) co_return tl::unexpected<Error>(bytes.error());
        if (!is_empty) co_return ProcessOutput{is_error, std::move(*bytes)};
      }
      // A look at one stream may have taken in bytes of the other.
      if (channel_->session().packets() != before) continue;
      if (ssh_channel_is_eof(channel_->raw()) != 0) co_return std::optional<ProcessOutput>();
      if (ssh_channel_is_closed(channel_->raw()) != 0 || channel_->session().is_broken()) {
        co_return channel_->session().broken("read");
      }
      co_await channel_->session().progress();
    }
  }

  Task<Status> write(std::string bytes) override {
    Task<Status> writing = channel_->write(std::move(bytes));
    co_return co_await std::move(writing);
  }

  Task<Status> close_input() override {
    Task<Status> closing = channel_->close_write();
    co_return co_await std::move(closing);
  }

  Task<Status> signal(std::string name) override {
    if (ssh_channel_request_send_signal(channel_->raw(), name.c_str()) != SSH_OK) {
      co_return channel_->session().broken("signal");
    }
    co_return Status();
  }

  Task<Result<ExitStatus>> wait() override {
    while (true) {
      const int code = ssh_channel_get_exit_status(channel_->raw());
      channel_->session().note_progress();
      if (!signal_.empty()) co_return ExitStatus{signal_ == "KILL" ? 137 : 143, signal_};
      if (code >= 0) co_return ExitStatus{code, {}};
      if (ssh_channel_is_closed(channel_->raw()) != 0 || channel_->session().is_broken()) {
        co_return channel_->session().broken("wait");
      }
      co_await channel_->session().progress();
    }
  }

 private:
  std::unique_ptr<Channel> channel_;
  ssh_channel_callbacks_struct callbacks_{};
  std::string signal_;
};

class SshStream : public ByteStream {
 public:
  explicit SshStream(std::unique_ptr<Channel> channel) : channel_(std::move(channel)) {}

  Task<Result<std::string>> read(std::size_t) override {
    while (true) {
      bool is_empty = false;
      Task<Result<std::string>> reading = channel_->read(false, &is_empty);
      Result<std::string> bytes = co_await std::move(reading);
      if (!bytes || !is_empty) co_return bytes;
      if (ssh_channel_is_eof(channel_->raw()) != 0) co_return std::string();
      if (ssh_channel_is_closed(channel_->raw()) != 0 || channel_->session().is_broken()) {
        co_return channel_->session().broken("read");
      }
      co_await channel_->session().progress();
    }
  }
  Task<Status> write(std::string bytes) override {
    Task<Status> writing = channel_->write(std::move(bytes));
    co_return co_await std::move(writing);
  }
  Task<Status> close_write() override {
    Task<Status> closing = channel_->close_write();
    co_return co_await std::move(closing);
  }

 private:
  std::unique_ptr<Channel> channel_;
};

}  // namespace

SshMachine::SshMachine(Executor executor, Clock& clock, MachineTarget target,
                       Duration connect_time_max)
    : executor_(std::move(executor)),
      clock_(clock),
      target_(std::move(target)),
      connect_time_max_(connect_time_max),
      connected_(executor_) {}

Task<Result<std::shared_ptr<Session>>> SshMachine::acquire() {
  while (true) {
    std::erase_if(sessions_, [](const auto& session) { return session->is_broken(); });
    for (const auto& session : sessions_) {
      if (session->channel_count < kChannelsMax) co_return session;
    }
    if (!is_connecting_) break;
    // One connection at a time: sshd turns away who knocks too often at once.
    co_await connected_.wait();
  }
  is_connecting_ = true;
  struct Done {
    SshMachine& machine;
    ~Done() {
      machine.is_connecting_ = false;
      machine.connected_.notify_all();
    }
  } const done{*this};
  Task<Result<std::shared_ptr<Session>>> connecting = Session::connect(executor_, target_);
  Task<Result<std::shared_ptr<Session>>> limited =
      with_deadline(clock_, connect_time_max_, std::move(connecting));
  Result<std::shared_ptr<Session>> session = co_await std::move(limited);
  if (!session) co_return within("ssh", target_.address, session.error());
  sessions_.push_back(*session);
  co_return session;
}

Task<Status> SshMachine::connect() {
  Task<Result<std::shared_ptr<Session>>> acquiring = acquire();
  const Result<std::shared_ptr<Session>> session = co_await std::move(acquiring);
  if (!session) co_return tl::unexpected<Error>(session.error());
  co_return Status();
}

Task<Result<std::unique_ptr<RemoteProcess>>> SshMachine::start(ExecRequest request) {
  Task<Result<std::shared_ptr<Session>>> acquiring = acquire();
  const Result<std::shared_ptr<Session>> session = co_await std::move(acquiring);
  if (!session) co_return tl::unexpected<Error>(session.error());
  auto channel = std::make_unique<Channel>(*session);
  const ssh_channel raw = channel->raw();
  Task<int> opening = (*session)->finish([raw] { return ssh_channel_open_session(raw); });
  if (co_await std::move(opening) != SSH_OK) co_return (*session)->broken("open channel");
  const std::string command = shell_command(request);
  auto process = std::make_unique<SshProcess>(std::move(channel));
  Task<int> asking = (*session)->finish(
      [raw, &command] { return ssh_channel_request_exec(raw, command.c_str()); });
  if (co_await std::move(asking) != SSH_OK) co_return (*session)->broken("exec");
  if (!request.input.empty()) {
    Task<Status> writing = process->write(std::move(request.input));
    const Status written = co_await std::move(writing);
    if (!written) co_return tl::unexpected<Error>(written.error());
  }
  co_return process;
}

Task<Result<ExecResult>> SshMachine::run(ExecRequest request) {
  Task<Result<std::unique_ptr<RemoteProcess>>> starting = start(std::move(request));
  Result<std::unique_ptr<RemoteProcess>> process = co_await std::move(starting);
  if (!process) co_return tl::unexpected<Error>(process.error());
  Task<Status> closing = (*process)->close_input();
  const Status closed = co_await std::move(closing);
  if (!closed) co_return tl::unexpected<Error>(closed.error());
  ExecResult result;
  while (true) {
    Task<Result<std::optional<ProcessOutput>>> reading = (*process)->read();
    Result<std::optional<ProcessOutput>> output = co_await std::move(reading);
    if (!output) co_return tl::unexpected<Error>(output.error());
    if (!*output) break;
    std::string& to = (*output)->is_error ? result.err : result.out;
    to.append((*output)->bytes, 0, kKeptBytesMax - std::min(kKeptBytesMax, to.size()));
  }
  Task<Result<ExitStatus>> waiting = (*process)->wait();
  const Result<ExitStatus> exit = co_await std::move(waiting);
  if (!exit) co_return tl::unexpected<Error>(exit.error());
  result.exit = *exit;
  co_return result;
}

Task<Status> SshMachine::copy_to(std::string path, std::string bytes, int mode) {
  ExecRequest request;
  request.command =
      // A connection that breaks off ends the input too: only all of it counts.
      fmt::format(
          "umask 077 && p={0}.part.$$ && cat > \"$p\" && [ \"$(wc -c < \"$p\")\" -eq {2} ] && "
          "chmod {1:o} \"$p\" && mv -f \"$p\" {0}",
          shell_quote(path), mode, bytes.size());
  request.input = std::move(bytes);
  Task<Result<ExecResult>> running = run(std::move(request));
  const Result<ExecResult> result = co_await std::move(running);
  if (!result) co_return within("copy to", path, result.error());
  if (result->exit.code == 0) co_return Status();
  co_return fail(ErrorKind::unavailable,
                 fmt::format("cannot write {} on the machine: {}", path, result->err));
}

Task<Result<std::string>> SshMachine::copy_from(std::string path, std::size_t bytes_max) {
  ExecRequest request;
  request.command = fmt::format("head -c {} {}", bytes_max, shell_quote(path));
  Task<Result<std::unique_ptr<RemoteProcess>>> starting = start(std::move(request));
  Result<std::unique_ptr<RemoteProcess>> process = co_await std::move(starting);
  if (!process) co_return tl::unexpected<Error>(process.error());
  std::string bytes;
  std::string complaint;
  while (true) {
    Task<Result<std::optional<ProcessOutput>>> reading = (*process)->read();
    Result<std::optional<ProcessOutput>> output = co_await std::move(reading);
    if (!output) co_return tl::unexpected<Error>(output.error());
    if (!*output) break;
    ((*output)->is_error ? complaint : bytes) += (*output)->bytes;
  }
  Task<Result<ExitStatus>> waiting = (*process)->wait();
  const Result<ExitStatus> exit = co_await std::move(waiting);
  if (!exit) co_return tl::unexpected<Error>(exit.error());
  if (exit->code == 0) co_return bytes;
  co_return fail(ErrorKind::not_found,
                 fmt::format("cannot read {} on the machine: {}", path, complaint));
}

Task<Result<std::unique_ptr<ByteStream>>> SshMachine::open_tcp(std::string host, int port) {
  Task<Result<std::shared_ptr<Session>>> acquiring = acquire();
  const Result<std::shared_ptr<Session>> session = co_await std::move(acquiring);
  if (!session) co_return tl::unexpected<Error>(session.error());
  auto channel = std::make_unique<Channel>(*session);
  const ssh_channel raw = channel->raw();
  Task<int> opening = (*session)->finish([raw, &host, port] {
    return ssh_channel_open_forward(raw, host.c_str(), port, "127.0.0.1", 0);
  });
  if (co_await std::move(opening) != SSH_OK) {
    co_return fail(ErrorKind::unavailable,
                   fmt::format("nothing listens on {}:{} of the machine", host, port));
  }
  co_return std::make_unique<SshStream>(std::move(channel));
}

Task<Result<std::unique_ptr<ByteStream>>> SshMachine::open_unix(std::string path) {
  Task<Result<std::shared_ptr<Session>>> acquiring = acquire();
  const Result<std::shared_ptr<Session>> session = co_await std::move(acquiring);
  if (!session) co_return tl::unexpected<Error>(session.error());
  auto channel = std::make_unique<Channel>(*session);
  const ssh_channel raw = channel->raw();
  Task<int> opening = (*session)->finish(
      [raw, &path] { return ssh_channel_open_forward_unix(raw, path.c_str(), "127.0.0.1", 0); });
  if (co_await std::move(opening) != SSH_OK) {
    co_return fail(ErrorKind::unavailable, fmt::format("{} of the machine cannot be opened", path));
  }
  co_return std::make_unique<SshStream>(std::move(channel));
}

Task<Result<std::unique_ptr<Machine>>> SshConnector::connect(MachineTarget target,
                                                             Duration time_max) {
  // Later connections of the same machine get more time than a probe of one that may not be up.
  const Duration later = std::max<Duration>(time_max, std::chrono::seconds{10});
  auto machine = std::make_unique<SshMachine>(executor_, clock_, std::move(target), later);
  Task<Status> connecting = machine->connect();
  const Status connected = co_await with_deadline(clock_, time_max, std::move(connecting));
  if (!connected) co_return tl::unexpected<Error>(connected.error());
  co_return machine;
}

Task<Status> SshConnector::knock(std::string address, int port, Duration time_max) {
  boost::asio::ip::tcp::socket socket(executor_);
  Task<Status> opening = open_socket(&socket, std::move(address), port);
  co_return co_await with_deadline(clock_, time_max, std::move(opening));
}

Task<> SshMachine::close() {
  sessions_.clear();
  co_return;
}

}  // namespace muster::ssh
