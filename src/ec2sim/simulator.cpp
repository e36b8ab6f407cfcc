#include "ec2sim/simulator.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "adapters/system/files.hpp"
#include "base/document.hpp"
#include "base/task.hpp"
#include "ec2sim/faults.hpp"
#include "ec2sim/name_server.hpp"
#include "ec2sim/world_file.hpp"

namespace ec2sim {

using ec2model::MachineKind;
using muster::ErrorKind;
using muster::fail;
using muster::Status;

namespace {

constexpr const char* kServices = "169.254.169.254";
constexpr const char* kApi = "169.254.169.252";
constexpr std::chrono::seconds kKeyLife{60};  // EC2 Instance Connect's.
constexpr const char* kNames = "169.254.169.253";
constexpr std::size_t kConsolesMax = 200;  // Of machines that have ended.
constexpr unsigned kOctetFirst = 10;       // Loopback networks of process machines.
constexpr unsigned kOctetLast = 199;

std::string hostname_of(const std::string& address) {
  std::string name = "ip-" + address;
  std::replace(name.begin(), name.end(), '.', '-');
  return name;
}

}  // namespace

Simulator::Simulator(muster::Executor executor, muster::Clock& clock, muster::Random& random,
                     const muster::Log& log, SimulatorOptions options)
    : executor_(executor),
      clock_(clock),
      random_(random),
      log_(log),
      options_(std::move(options)),
      timer_(executor),
      tasks_(std::move(executor)) {
  if (options_.seed == 0) options_.seed = random.next();
}

Status Simulator::lock_state() {
  std::error_code error;
  std::filesystem::create_directories(options_.state_dir, error);
  options_.state_dir = std::filesystem::canonical(options_.state_dir, error).string();
  while (options_.state_dir.ends_with('/')) options_.state_dir.pop_back();
  const std::string path = options_.state_dir + "/lock";
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) {
    return fail(ErrorKind::forbidden,
                fmt::format("cannot write {}: {}", path, std::strerror(errno)),
                "Name a folder that can be written with --state.");
  }
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return {};
  return fail(ErrorKind::conflict, fmt::format("another ec2sim uses {}", options_.state_dir),
              "Stop it, or name another folder with --state.");
}

/// Machines of a simulator that was killed ended with it.
void Simulator::close_old_entries() {
  const muster::Result<StoredLedger> before = read_ledger(options_.state_dir);
  if (!before) return;
  for (const auto& [id, entry] : before->ledger.machines()) {
    if (!entry.is_alive()) continue;
    ec2model::MachineEntry closed = entry;
    closed.ended_at = clock_.now();
    closed.end_reason = ec2model::kSimulatorStopped;
    ledger_file_->add_end(closed);
  }
}

bool Simulator::machine_ended(const std::string& id, MachineEnd how, const std::string& console) {
  if (last_consoles_.size() >= kConsolesMax) last_consoles_.erase(last_consoles_.begin());
  last_consoles_[id] = console;
  Universe::Region* region = universe_->of_instance(id);
  if (region == nullptr) return false;  // Of before a reset.
  region->model.machine_gone(id, how == MachineEnd::shut_down, clock_.now());
  const ec2model::State state = region->model.find(id)->state;
  tasks_.spawn(carry_out_soon());
  return state == ec2model::State::stopping || state == ec2model::State::stopped;
}

Status Simulator::make_hosts() {
  const auto on_end = [this](const std::string& id, MachineEnd how, const std::string& console) {
    return machine_ended(id, how, console);
  };
  if (geteuid() == 0 && options_.machines == MachineKind::namespaces) {
    host_ = std::make_unique<MachineHost>(
        executor_, HostOptions{options_.name, options_.state_dir, options_.image_root}, log_,
        on_end);
    if (Status fine = host_->set_up(); !fine) return fine;
    second_octet_ = host_->second_octet();
  } else {
    for (unsigned octet = kOctetFirst; octet <= kOctetLast && octet_lock_ < 0; ++octet) {
      octet_lock_ = lock_by_name(fmt::format("ec2sim-127.{}", octet));
      second_octet_ = octet;
    }
    if (octet_lock_ < 0) {
      return fail(ErrorKind::conflict, "too many simulators run on this host",
                  "Stop another ec2sim.");
    }
  }
  processes_ = std::make_unique<ProcessHost>(
      executor_, ProcessOptions{options_.state_dir, options_.ssh_port, "", ""}, log_, on_end);
  // Only who launches such machines needs sshd.
  if (Status fine = processes_->set_up(); !fine) {
    if (options_.machines == MachineKind::process) return fine;
    processes_.reset();
  }
  return {};
}

Status Simulator::apply_options(ec2model::World& world) const {
  world.default_kind = options_.machines;
  if (options_.has_second_vpc) ec2model::add_second_vpc(world, second_octet_);
  if (!options_.has_default_vpc) {
    world.default_vpc.clear();
    world.vpcs.front().is_default = false;
    for (ec2model::Subnet& subnet : world.subnets) subnet.is_default = false;
  }
  world.throttles = options_.throttles;
  if (options_.vcpu_quota) world.vcpu_quota = *options_.vcpu_quota;
  if (options_.spot_vcpu_quota) world.spot_vcpu_quota = *options_.spot_vcpu_quota;
  if (options_.boot_time) world.durations.pending = *options_.boot_time;
  for (const std::string& action : options_.denied_actions) {
    if (Status fine = check_action(action); !fine) return fine;
    world.denied_actions.push_back(action);
  }
  for (const std::string& one : options_.full_offerings) {
    if (Status fine = check_offering(one); !fine) return fine;
    world.faults.full_offerings.push_back(one);
  }
  for (const std::string& fault : options_.faults) {
    const std::size_t equals = fault.find('=');
    if (equals == std::string::npos) {
      return fail(ErrorKind::invalid_input, fmt::format("--fault \"{}\" has no value", fault),
                  "Write NAME=VALUE, such as lost=0.05.");
    }
    const Status set = set_fault(world.faults, fault.substr(0, equals), fault.substr(equals + 1));
    if (!set) return set;
  }
  for (const ec2model::Image& image : world.images) {
    if (image.kind == MachineKind::namespaces && !host_) {
      return fail(
          ErrorKind::invalid_input,
          fmt::format("image {} has machines of kind namespace, which this simulator does not make",
                      image.id),
          "Run ec2sim as root with --machines namespace, or give the image another kind.");
    }
  }
  return {};
}

muster::Result<Settings> Simulator::make_settings() {
  Settings settings = default_settings(second_octet_);
  if (!options_.world_file.empty()) {
    const auto text = muster::system::read_file(options_.world_file, std::size_t{1} << 20);
    if (!text) return tl::unexpected<muster::Error>(text.error());
    auto read = read_world(*text, options_.world_file, second_octet_);
    if (!read) return read;
    settings = std::move(*read);
  }
  for (ec2model::World& world : settings.worlds) {
    if (Status fine = apply_options(world); !fine)
      return tl::unexpected<muster::Error>(fine.error());
  }
  // The first account's first key is what `variables` prints; without one it is made.
  Account& first = settings.accounts.front();
  if (first.access_keys.empty()) {
    std::string id = "AKIA" + muster::random_hex(random_, 16);
    for (char& c : id) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    first.access_keys.push_back({id, muster::Secret(muster::random_hex(random_, 40))});
  }
  user_key_ = first.access_keys.front();
  for (const Account& account : settings.accounts) {
    for (const AccessKey& key : account.access_keys) {
      authenticator_.add({key.id, key.secret, muster::Secret(), std::nullopt},
                         {account.id, account.user_arn(), "AIDA0000000000000MUST", "", ""});
    }
  }
  return settings;
}

Status Simulator::start() {
  if (Status fine = lock_state(); !fine) return fine;
  muster::Result<LedgerFile> file = LedgerFile::open(options_.state_dir);
  if (!file) return tl::unexpected<muster::Error>(file.error());
  ledger_file_ = std::make_unique<LedgerFile>(std::move(*file));
  close_old_entries();
  if (Status fine = make_hosts(); !fine) return fine;
  muster::Result<Settings> settings = make_settings();
  if (!settings) return tl::unexpected<muster::Error>(settings.error());
  universe_ = std::make_unique<Universe>(std::move(*settings), options_.seed);
  return serve();
}

std::string Simulator::console_of(const std::string& id) {
  if (options_.hides_console) return {};
  const Universe::Region* region = universe_->of_instance(id);
  const ec2model::Instance* instance = region == nullptr ? nullptr : region->model.find(id);
  const bool has_machine = instance != nullptr && (instance->state == ec2model::State::pending ||
                                                   instance->state == ec2model::State::running);
  Machines* host = instance == nullptr ? nullptr : host_of(instance->kind);
  if (has_machine && host != nullptr && host->pid_of(id) > 0) return host->console(id);
  const auto last = last_consoles_.find(id);
  return last == last_consoles_.end() ? std::string() : last->second;
}

Status Simulator::serve() {
  const std::size_t colon = options_.listen.rfind(':');
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : muster::parse_integer(options_.listen.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) {
    return fail(ErrorKind::invalid_input,
                fmt::format("--listen \"{}\" has no port", options_.listen),
                "Write ADDRESS:PORT, for example 127.0.0.1:0.");
  }
  const std::string address = options_.listen.substr(0, colon);
  auto acceptor = muster::http::listen(executor_, address, static_cast<int>(*port));
  if (!acceptor) return tl::unexpected<muster::Error>(acceptor.error());
  sts_ = std::make_unique<StsApi>(*universe_, authenticator_, random_);
  ssm_ = std::make_unique<SsmApi>(*universe_);
  connect_ = std::make_unique<InstanceConnectApi>(
      *universe_,
      [this](const ec2model::Instance& instance, const std::string& user, const std::string& key) {
        Machines* host = host_of(instance.kind);
        if (host != nullptr) host->admit_key(instance.id, user, key, clock_.now(), kKeyLife);
      });
  ec2_ = std::make_unique<Ec2Api>(*universe_,
                                  [this](const std::string& id) { return console_of(id); });
  // Machines start and end after the answer is on its way.
  admin_ = std::make_unique<AdminApi>(
      *universe_, clock_,
      AdminApi::Events{[this] { tasks_.spawn(carry_out_soon()); }, [this] { reset(); }});
  gateway_ = std::make_unique<Gateway>(
      *universe_, authenticator_, *ec2_, *sts_, *ssm_, *connect_, *admin_, clock_, random_,
      Gateway::Events{
          [this](muster::TimePoint at, const std::string& action, const std::string& code) {
            ledger_file_->add_call(at, action, code);
            tasks_.spawn(carry_out_soon());
          },
          [this](const std::string& fault) { ledger_file_->add_fault(clock_.now(), fault); }});
  metadata_ = std::make_unique<MetadataService>(*universe_, clock_, *sts_);
  api_server_ = std::make_unique<muster::http::Server>(executor_, *gateway_,
                                                       muster::http::ServerLimits{}, log_);
  metadata_server_ = std::make_unique<muster::http::Server>(executor_, *metadata_,
                                                            muster::http::ServerLimits{}, log_);
  endpoint_ = fmt::format("http://{}:{}", address, acceptor->local_endpoint().port());
  tasks_.spawn(api_server_->serve(std::move(*acceptor)));
  inner_gateway_ = std::make_unique<InnerGateway>(*gateway_);
  inner_server_ = std::make_unique<muster::http::Server>(executor_, *inner_gateway_,
                                                         muster::http::ServerLimits{}, log_);
  if (host_) {
    auto inner = host_->listen_in_vpc(kApi, 80);
    if (!inner) return tl::unexpected<muster::Error>(inner.error());
    tasks_.spawn(inner_server_->serve(std::move(*inner)));
    auto services = host_->listen_in_vpc(kServices, 80);
    if (!services) return tl::unexpected<muster::Error>(services.error());
    tasks_.spawn(metadata_server_->serve(std::move(*services)));
    if (Status fine = serve_names(); !fine) return fine;
  }
  if (processes_) {
    // On every loopback address at once, and on no other interface.
    auto services = muster::http::listen_on_device(executor_, "lo", 0);
    if (!services) return tl::unexpected<muster::Error>(services.error());
    auto inner = muster::http::listen(executor_, "127.0.0.1", 0);
    if (!inner) return tl::unexpected<muster::Error>(inner.error());
    processes_->set_services(std::to_string(services->local_endpoint().port()),
                             fmt::format("http://127.0.0.1:{}", inner->local_endpoint().port()));
    tasks_.spawn(inner_server_->serve(std::move(*inner)));
    tasks_.spawn(metadata_server_->serve(std::move(*services)));
  }
  return {};
}

Status Simulator::serve_names() {
  const NameLookup lookup = [this](const std::string& name) -> std::optional<unsigned> {
    if (name == "aws.ec2.internal") return ec2model::parse_address(kApi);
    if (name == "instance-data.ec2.internal") return ec2model::parse_address(kServices);
    if (!name.ends_with(".ec2.internal") || !name.starts_with("ip-")) return std::nullopt;
    std::string address = name.substr(3, name.size() - 3 - 13);
    std::replace(address.begin(), address.end(), '-', '.');
    if (universe_->of_address(address) == nullptr) return std::nullopt;
    return ec2model::parse_address(address);
  };
  for (const std::string& address :
       {std::string(kNames), fmt::format("10.{}.0.2", host_->second_octet())}) {
    auto socket = host_->bind_in_vpc(address, 53);
    if (!socket) return tl::unexpected<muster::Error>(socket.error());
    tasks_.spawn(ec2sim::serve_names(std::move(*socket), lookup));
  }
  return {};
}

muster::Task<> Simulator::carry_out_soon() {
  carry_out();
  co_return;
}

Machines* Simulator::host_of(MachineKind kind) {
  if (kind == MachineKind::namespaces) return host_.get();
  if (kind == MachineKind::process) return processes_.get();
  return nullptr;
}

void Simulator::start_machine(Universe::Region& region, const ec2model::Instance& instance) {
  const std::string id = instance.id;
  if (instance.kind == MachineKind::record) {
    region.model.machine_running(id, clock_.now());
    return;
  }
  const ec2model::Image* image = region.model.find_image(instance.image);
  MachineSpec spec;
  spec.id = id;
  spec.hostname = hostname_of(instance.private_address);
  spec.private_address = instance.private_address;
  spec.public_address = instance.public_address;
  spec.default_user = image->default_user;
  spec.public_key = instance.public_key;
  spec.user_data = instance.user_data;
  spec.has_docker = image->has_docker;
  spec.is_restart = known_stopped_.contains(id);
  Machines* host = host_of(instance.kind);
  const Status started =
      host != nullptr ? host->start(spec)
                      : fail(ErrorKind::unavailable, "machines of this kind cannot be made here");
  if (!started) {
    log_.error("machine_not_started", {{"instance_id", id}, {"error", started.error().describe()}});
    region.model.machine_gone(id, false, clock_.now());
    return;
  }
  const int port = instance.kind == MachineKind::process ? options_.ssh_port : 22;
  ledger_file_->add_process(id, host->pid_of(id), instance.private_address, port);
  region.model.machine_running(id, clock_.now());
}

void Simulator::carry_out() {
  if (is_carrying_out_) return;
  is_carrying_out_ = true;
  for (const auto& region : universe_->regions()) {
    region->model.advance(clock_.now());
    note_ledger(*region);
    for (const ec2model::Effect& effect : region->model.take_effects()) {
      const ec2model::Instance* instance = region->model.find(effect.instance_id);
      using Kind = ec2model::Effect::Kind;
      Machines* host = host_of(instance->kind);
      if (effect.kind == Kind::start_machine) {
        // It may have been ended before it began.
        if (instance->state == ec2model::State::pending) start_machine(*region, *instance);
      } else if (host == nullptr ||
                 (effect.kind != Kind::kill_machine && host->pid_of(instance->id) <= 0)) {
        const bool is_stop = effect.kind == Kind::stop_machine;
        if (effect.kind != Kind::reboot_machine)
          region->model.machine_gone(instance->id, is_stop, clock_.now());
      } else if (effect.kind == Kind::kill_machine) {
        const bool runs = host->pid_of(instance->id) > 0;
        host->kill(instance->id);
        if (!runs) region->model.machine_gone(instance->id, false, clock_.now());
      } else if (effect.kind == Kind::stop_machine) {
        host->stop(instance->id);
      } else {
        host->reboot(instance->id);
      }
    }
    note_ledger(*region);
  }
  is_carrying_out_ = false;
  arm_timer();
}

void Simulator::arm_timer() {
  std::optional<muster::TimePoint> due;
  for (const auto& region : universe_->regions()) {
    const auto own = region->model.next_due();
    if (own && (!due || *own < *due)) due = own;
  }
  if (!due) return;
  const muster::Duration wait =
      std::max<muster::Duration>(*due - clock_.now(), std::chrono::milliseconds{1});
  timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(wait));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) carry_out();
  });
}

void Simulator::note_ledger(Universe::Region& region) {
  for (const std::string& fault : region.model.take_strikes()) {
    ledger_file_->add_fault(clock_.now(), fault);
  }
  for (const std::string& id : region.model.take_ledger_changes()) {
    const ec2model::MachineEntry& entry = region.model.ledger().machines().at(id);
    if (!known_.contains(id)) {
      known_[id] = false;
      ledger_file_->add_machine(entry);
    }
    const bool is_stopped = entry.stopped_at != muster::TimePoint{};
    if (is_stopped != (known_stopped_.contains(id) && known_stopped_[id])) {
      known_stopped_[id] = is_stopped;
      ledger_file_->add_state(clock_.now(), id, is_stopped);
    }
    if (!entry.is_alive() && !known_[id]) {
      known_[id] = true;
      ledger_file_->add_end(entry);
    }
  }
}

void Simulator::reset() {
  for (const auto& region : universe_->regions()) {
    region->model.simulator_stops(clock_.now());
    note_ledger(*region);
    for (const auto& [id, entry] : region->model.ledger().machines()) {
      const ec2model::Instance* instance = region->model.find(id);
      Machines* host = instance == nullptr ? nullptr : host_of(instance->kind);
      if (host != nullptr) host->kill(id);
    }
  }
  universe_->reset();
  authenticator_.forget_temporary();
}

std::string Simulator::variables() const {
  const std::string& region = universe_->regions().front()->model.world().region;
  return fmt::format(
      "AWS_ENDPOINT_URL={}\nAWS_REGION={}\nAWS_DEFAULT_REGION={}\nAWS_ACCESS_KEY_ID={}\n"
      "AWS_SECRET_ACCESS_KEY={}\n",
      endpoint_, region, region, user_key_.id, user_key_.secret.reveal());
}

muster::Task<> Simulator::stop() {
  // First nobody can launch any more, then the machines go.
  if (api_server_) co_await api_server_->stop(std::chrono::seconds{1});
  if (inner_server_) co_await inner_server_->stop(std::chrono::milliseconds{0});
  if (universe_ && ledger_file_) {
    carry_out();
    for (const auto& region : universe_->regions()) {
      region->model.simulator_stops(clock_.now());
      note_ledger(*region);
    }
    for (Machines* host :
         {static_cast<Machines*>(host_.get()), static_cast<Machines*>(processes_.get())}) {
      if (host == nullptr) continue;
      const auto known = known_;
      for (const auto& [id, has_ended] : known) {
        if (host->pid_of(id) > 0) host->kill(id);
      }
      for (int i = 0; host->count() > 0 && i < 500; ++i) {
        co_await clock_.sleep(std::chrono::milliseconds{10});
      }
    }
  }
  timer_.cancel();
  if (metadata_server_) co_await metadata_server_->stop(std::chrono::milliseconds{0});
  tasks_.cancel();
  co_await tasks_.join();
  if (host_) host_->tear_down();
  if (processes_) processes_->tear_down();
  if (octet_lock_ >= 0) close(octet_lock_);
  if (lock_ >= 0) close(lock_);
}

}  // namespace ec2sim
