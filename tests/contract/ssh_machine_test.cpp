// The Machine port against a real sshd on loopback. Needs root, as sshd does here.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "adapters/ssh/ssh_machine.hpp"
#include "adapters/system/real_clock.hpp"
#include "base/task.hpp"
#include "base/task_scope.hpp"
#include "service/remote_step.hpp"
#include "wire/openssh_key.hpp"

namespace muster {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// An sshd of this test's own, on a free port of loopback.
class Sshd {
 public:
  Sshd() {
    std::string pattern = testing::TempDir() + "/sshd-XXXXXX";
    folder = mkdtemp(pattern.data());
    const wire::SshKeyPair host = wire::ssh_key_of_seed(std::string(32, 'h'), "host");
    const wire::SshKeyPair user = wire::ssh_key_of_seed(std::string(32, 'u'), "user");
    write("host_key", host.private_text.reveal(), 0600);
    write("authorized_keys", user.public_line + "\n", 0600);
    host_key = {"ssh-ed25519", host.public_blob};
    user_key = user.private_text;
    port = free_port();
    write("config",
          "ListenAddress 127.0.0.1\nPort " + std::to_string(port) + "\nHostKey " + folder +
              "/host_key\nAuthorizedKeysFile " + folder +
              "/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n"
              "PasswordAuthentication no\nLogLevel VERBOSE\n",
          0600);
    mkdir("/run/sshd", 0755);
    const std::string config = folder + "/config";
    const std::string log_file = folder + "/log";
    const char* words[] = {"/usr/sbin/sshd", "-D",   "-E", log_file.c_str(), "-f",
                           config.c_str(),   nullptr};
    EXPECT_EQ(posix_spawn(&pid_, words[0], nullptr, nullptr, const_cast<char**>(words), environ),
              0);
  }
  ~Sshd() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
  [[nodiscard]] std::string log() const {
    std::ostringstream text;
    text << std::ifstream(folder + "/log").rdbuf();
    return text.str();
  }

  std::string folder;
  HostKey host_key;
  Secret user_key;
  int port = 0;

 private:
  static int free_port() {
    asio::io_context context;
    asio::ip::tcp::acceptor probe(context, {asio::ip::make_address("127.0.0.1"), 0});
    return probe.local_endpoint().port();
  }
  void write(const std::string& name, const std::string& text, mode_t mode) const {
    std::ofstream(folder + "/" + name) << text;
    chmod((folder + "/" + name).c_str(), mode);
  }
  pid_t pid_ = -1;
};

struct SshMachineTest : testing::Test {
  Sshd sshd;
  asio::io_context context;
  system::RealClock clock{context.get_executor()};
  ssh::SshConnector connector{context.get_executor(), clock};
  MachineTarget target{"127.0.0.1", sshd.port, "root", {sshd.user_key}, {sshd.host_key}};

  void run(Task<> task) {
    context.restart();
    asio::co_spawn(context, std::move(task), [](const std::exception_ptr& failure) {
      if (failure) std::rethrow_exception(failure);
    });
    context.run();
  }

  Task<Result<std::unique_ptr<Machine>>> connect() {
    // sshd needs a moment to listen.
    for (int i = 0;; ++i) {
      Result<std::unique_ptr<Machine>> machine = co_await connector.connect(target, 5s);
      if (machine || i == 200 || !is_retryable(machine.error().kind)) co_return machine;
      co_await clock.sleep(20ms);
    }
  }

  template <class Body>
  void with_machine(Body body) {
    const auto doing = [](SshMachineTest* test, Body inner) -> Task<> {
      Result<std::unique_ptr<Machine>> machine = co_await test->connect();
      EXPECT_TRUE(machine.has_value()) << machine.error().message << "\n" << test->sshd.log();
      if (machine) co_await inner(test, machine->get());
    };
    run(doing(this, body));
  }
};

TEST_F(SshMachineTest, KeepsStreamsApartAndReportsTheExitCode) {
  with_machine([](SshMachineTest*, Machine* machine) -> Task<> {
    ExecRequest request;
    request.command = "cat; echo \"$X in $PWD\"; echo wrong >&2; exit 7";
    request.environment = {{"X", "it's $HOME"}};
    request.folder = "/tmp";
    request.input = "input\n";
    const auto result = co_await machine->run(request);
    EXPECT_TRUE(result.has_value());
    EXPECT_EQ(result->out, "input\nit's $HOME in /tmp\n");
    EXPECT_EQ(result->err, "wrong\n");
    EXPECT_EQ(result->exit.code, 7);
  });
}

TEST_F(SshMachineTest, CopiesBothWaysWhole) {
  with_machine([](SshMachineTest* test, Machine* machine) -> Task<> {
    std::string bytes;
    for (int i = 0; i < 3'000'000; ++i) bytes += static_cast<char>(i * 7);
    const std::string path = test->sshd.folder + "/it's a file";
    EXPECT_TRUE(co_await machine->copy_to(path, bytes, 0640));
    struct stat info{};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0640U);
    const auto read = co_await machine->copy_from(path, 10'000'000);
    EXPECT_TRUE(read && *read == bytes);
    const auto missing = co_await machine->copy_from(path + "x", 10);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  });
}

TEST_F(SshMachineTest, OpensStreamsToPortsAndUnixSockets) {
  asio::local::stream_protocol::acceptor acceptor(
      context, asio::local::stream_protocol::endpoint(sshd.folder + "/socket"));
  with_machine([&acceptor](SshMachineTest* test, Machine* machine) -> Task<> {
    auto port = co_await machine->open_tcp("127.0.0.1", test->sshd.port);
    EXPECT_TRUE(port.has_value());
    const auto banner = co_await (*port)->read(100);
    EXPECT_TRUE(banner && banner->starts_with("SSH-2.0"));
    auto refused = co_await machine->open_tcp("127.0.0.1", 1);
    EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
    auto unix = co_await machine->open_unix(test->sshd.folder + "/socket");
    EXPECT_TRUE(unix.has_value());
    auto peer = co_await acceptor.async_accept(use_task);
    EXPECT_TRUE(co_await (*unix)->write("ping"));
    char got[4];
    co_await peer.async_read_some(asio::buffer(got), use_task);
    co_await asio::async_write(peer, asio::buffer("pong", 4), use_task);
    peer.close();
    const auto answer = co_await (*unix)->read(100);
    EXPECT_TRUE(answer && *answer == "pong");
    const auto end = co_await (*unix)->read(100);
    EXPECT_TRUE(end && end->empty());
  });
}

Task<> one_command(Machine* machine, int number, int* done) {
  ExecRequest request;
  request.command =
      "sleep 0.2; head -c 300000 /dev/zero | tr '\\0' x; echo " + std::to_string(number);
  const auto result = co_await machine->run(request);
  EXPECT_TRUE(result.has_value()) << result.error().message;
  EXPECT_TRUE(result && result->out.ends_with("x" + std::to_string(number) + "\n"));
  EXPECT_TRUE(result && result->out.size() > 300000);
  ++*done;
}

TEST_F(SshMachineTest, RunsMoreAtOnceThanOneConnectionAllows) {
  with_machine([](SshMachineTest* test, Machine* machine) -> Task<> {
    TaskScope scope(test->context.get_executor());
    int done = 0;
    for (int i = 0; i < 25; ++i) scope.spawn(one_command(machine, i, &done));
    co_await scope.join();
    EXPECT_EQ(done, 25);
  });
}

TEST_F(SshMachineTest, KnocksWhereSomethingListens) {
  with_machine([](SshMachineTest* test, Machine*) -> Task<> {
    EXPECT_TRUE(co_await test->connector.knock("127.0.0.1", test->sshd.port, 5s));
    const Status closed = co_await test->connector.knock("127.0.0.1", 1, 5s);
    EXPECT_EQ(closed.error().kind, ErrorKind::unavailable);
    // A listener whose queue is full answers nothing more.
    asio::ip::tcp::acceptor full(test->context);
    full.open(asio::ip::tcp::v4());
    full.bind({asio::ip::make_address("127.0.0.1"), 0});
    full.listen(0);
    const int port = full.local_endpoint().port();
    std::vector<asio::ip::tcp::socket> others;
    Status last;
    for (int i = 0; i < 5 && last; ++i) {
      others.emplace_back(test->context, asio::ip::tcp::v4());
      others.back().non_blocking(true);
      boost::system::error_code ignored;
      others.back().connect(full.local_endpoint(), ignored);
      last = co_await test->connector.knock("127.0.0.1", port, 200ms);
    }
    EXPECT_TRUE(!last && last.error().kind == ErrorKind::timeout);
  });
}

TEST_F(SshMachineTest, TellsAnotherMachineNothing) {
  target.host_keys = {{"ssh-ed25519", wire::ssh_key_of_seed(std::string(32, 'x'), "").public_blob}};
  run([](SshMachineTest* test) -> Task<> {
    const auto machine = co_await test->connect();
    EXPECT_FALSE(machine.has_value());
    EXPECT_EQ(machine.error().code, "HostKeyMismatch");
  }(this));
  EXPECT_EQ(sshd.log().find("root"), std::string::npos) << sshd.log();
  EXPECT_EQ(sshd.log().find("publickey"), std::string::npos);
}

TEST_F(SshMachineTest, SaysWhenItsKeyIsRefused) {
  target.private_keys = {wire::ssh_key_of_seed(std::string(32, 'y'), "").private_text};
  run([](SshMachineTest* test) -> Task<> {
    const auto machine = co_await test->connect();
    EXPECT_FALSE(machine.has_value());
    EXPECT_EQ(machine.error().code, "KeyRefused");
  }(this));
}

TEST_F(SshMachineTest, ConnectsAgainWithTheKeyThatTheMachineWasGivenMeanwhile) {
  const wire::SshKeyPair other = wire::ssh_key_of_seed(std::string(32, 'o'), "other");
  target.private_keys = {sshd.user_key, other.private_text};
  with_machine([&other](SshMachineTest* test, Machine* machine) -> Task<> {
    ExecRequest request;
    request.command = "cat > " + test->sshd.folder + "/authorized_keys; kill -9 $PPID";
    request.input = other.public_line + "\n";
    static_cast<void>(co_await machine->run(request));
    request = {};
    request.command = "echo again";
    const auto result = co_await machine->run(request);
    EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().message);
    if (result) EXPECT_EQ(result->out, "again\n");
  });
}

long open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

TEST_F(SshMachineTest, LeavesNoDescriptorBehindHoweverAConnectionEnds) {
  const auto use = [](SshMachineTest* test, std::string command, std::string refusal) -> Task<> {
    const auto machine = co_await test->connect();
    EXPECT_EQ(machine ? "" : machine.error().code, refusal);
    if (!machine) co_return;
    ExecRequest request;
    request.command = std::move(command);
    static_cast<void>(co_await (*machine)->run(std::move(request)));
    co_await test->clock.sleep(20ms);
  };
  run(use(this, "true", ""));
  const long before = open_descriptors();
  for (int i = 0; i < 3; ++i) {
    run(use(this, "true", ""));           // Ended by this side,
    run(use(this, "kill -9 $PPID", ""));  // by the other,
  }
  const MachineTarget right = target;
  target.host_keys = {{"ssh-ed25519", wire::ssh_key_of_seed(std::string(32, 'x'), "").public_blob}};
  run(use(this, "true", "HostKeyMismatch"));  // before anything was said,
  target = right;
  target.private_keys = {wire::ssh_key_of_seed(std::string(32, 'y'), "").private_text};
  run(use(this, "true", "KeyRefused"));  // and at the door.
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(SshMachineTest, StartsAStepOnceHoweverOftenItIsAsked) {
  with_machine([](SshMachineTest* test, Machine* machine) -> Task<> {
    const std::string folder = test->sshd.folder + "/step";
    const std::string effect = test->sshd.folder + "/effect";
    const std::string script =
        "echo ran >> " + effect + "; printf 'a\\000b\\377'; sleep 0.3; exit 5\n";
    for (int i = 0; i < 3; ++i) {
      RemoteStep step(*machine, test->clock, folder);
      EXPECT_TRUE(co_await step.start(script, 1s));
    }
    RemoteStep step(*machine, test->clock, folder);
    std::string seen;
    const auto code =
        co_await step.follow(1, [&seen](std::string_view bytes) { seen += bytes; }, 1s);
    EXPECT_TRUE(code && *code == 5);
    EXPECT_EQ(seen, std::string("\0b\xff", 3));
    std::ostringstream ran;
    ran << std::ifstream(effect).rdbuf();
    EXPECT_EQ(ran.str(), "ran\n");
  });
}

}  // namespace
}  // namespace muster
