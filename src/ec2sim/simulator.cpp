#include "ec2sim/simulator.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/document.hpp"
#include "ec2sim/name_server.hpp"

namespace ec2sim {

using muster::ErrorKind;
using muster::fail;
using muster::Status;

namespace {

constexpr const char* kServices = "169.254.169.254";
constexpr std::size_t kConsolesMax = 200;  // Of machines that have ended.
constexpr const char* kNames = "169.254.169.253";

std::string hostname_of(const std::string& address) {
  std::string name = "ip-" + address;
  std::replace(name.begin(), name.end(), '.', '-');
  return name;
}

}  // namespace

Simulator::Simulator(boost::asio::any_io_executor executor, muster::Clock& clock,
                     muster::Random& random, const muster::Log& log, SimulatorOptions options)
    : executor_(executor),
      clock_(clock),
      log_(log),
      options_(std::move(options)),
      tasks_(std::move(executor)) {
  if (options_.seed == 0) options_.seed = random.next();
  const auto secret = [&] { return muster::Secret(muster::random_hex(random, 40)); };
  const auto key_id = [&](const char* prefix) {
    std::string id = prefix + muster::random_hex(random, 16);
    for (char& c : id) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return id;
  };
  user_ = {key_id("AKIA"), secret(), muster::Secret(), std::nullopt};
  role_ = {key_id("ASIA"), secret(), muster::Secret(muster::random_hex(random, 64)), std::nullopt};
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

Status Simulator::start() {
  if (Status fine = lock_state(); !fine) return fine;
  muster::Result<LedgerFile> file = LedgerFile::open(options_.state_dir);
  if (!file) return tl::unexpected<muster::Error>(file.error());
  ledger_file_ = std::make_unique<LedgerFile>(std::move(*file));
  close_old_entries();
  const std::size_t colon = options_.listen.rfind(':');
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : muster::parse_integer(options_.listen.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) {
    return fail(ErrorKind::invalid_input,
                fmt::format("--listen \"{}\" has no port", options_.listen),
                "Write ADDRESS:PORT, for example 127.0.0.1:0.");
  }
  auto acceptor =
      muster::http::listen(executor_, options_.listen.substr(0, colon), static_cast<int>(*port));
  if (!acceptor) return tl::unexpected<muster::Error>(acceptor.error());

  HostOptions host{options_.name, options_.state_dir, options_.image_root};
  host_ = std::make_unique<MachineHost>(
      executor_, host, log_,
      [this](const std::string& id, MachineEnd how, const std::string& console) {
        if (last_consoles_.size() >= kConsolesMax) last_consoles_.erase(last_consoles_.begin());
        last_consoles_[id] = console;
        model_->machine_gone(id, how == MachineEnd::shut_down, clock_.now());
        note_ends();
      });
  if (Status fine = host_->set_up(); !fine) return fine;

  ec2model::World world = ec2model::default_world(host_->second_octet());
  if (options_.has_second_vpc) ec2model::add_second_vpc(world, host_->second_octet());
  if (!options_.has_default_vpc) {
    world.default_vpc.clear();
    for (ec2model::Subnet& subnet : world.subnets) subnet.is_default = false;
  }
  world.throttles = options_.throttles;
  world.vcpu_quota = options_.vcpu_quota;
  world.spot_vcpu_quota = options_.spot_vcpu_quota;
  world.denied_actions = options_.denied_actions;
  world.full_offerings = options_.full_offerings;
  model_ = std::make_unique<ec2model::Model>(std::move(world), options_.seed);
  authenticator_ = std::make_unique<Authenticator>(model_->world().region);
  authenticator_->add(user_);
  authenticator_->add(role_);
  api_ = std::make_unique<Ec2Api>(
      *model_, *authenticator_, clock_,
      [this](const std::string& id) {
        if (options_.hides_console) return std::string();
        const auto last = last_consoles_.find(id);
        return last != last_consoles_.end() ? last->second : host_->console(id);
      },
      [this](const std::string& action, const std::string& code) {
        model_->ledger().add_call(action, code);
        ledger_file_->add_call(clock_.now(), action, code);
        // Machines start and end after the answer is on its way.
        tasks_.spawn(carry_out_soon());
      });
  metadata_ = std::make_unique<MetadataService>(*model_, clock_, role_);

  auto services = host_->listen_in_vpc(kServices, 80);
  if (!services) return tl::unexpected<muster::Error>(services.error());
  api_server_ =
      std::make_unique<muster::http::Server>(executor_, *api_, muster::http::ServerLimits{}, log_);
  metadata_server_ = std::make_unique<muster::http::Server>(executor_, *metadata_,
                                                            muster::http::ServerLimits{}, log_);
  endpoint_ = fmt::format("http://{}:{}", options_.listen.substr(0, colon),
                          acceptor->local_endpoint().port());
  tasks_.spawn(api_server_->serve(std::move(*acceptor)));
  tasks_.spawn(metadata_server_->serve(std::move(*services)));
  const NameLookup lookup = [this](const std::string& name) -> std::optional<unsigned> {
    if (name == "instance-data.ec2.internal") return ec2model::parse_address(kServices);
    if (!name.ends_with(".ec2.internal") || !name.starts_with("ip-")) return std::nullopt;
    std::string address = name.substr(3, name.size() - 3 - 13);
    std::replace(address.begin(), address.end(), '-', '.');
    if (model_->find_by_address(address) == nullptr) return std::nullopt;
    return ec2model::parse_address(address);
  };
  for (const std::string& address :
       {std::string(kNames), fmt::format("10.{}.0.2", host_->second_octet())}) {
    auto socket = host_->bind_in_vpc(address, 53);
    if (!socket) return tl::unexpected<muster::Error>(socket.error());
    tasks_.spawn(serve_names(std::move(*socket), lookup));
  }
  return {};
}

muster::Task<> Simulator::carry_out_soon() {
  carry_out();
  co_return;
}

void Simulator::carry_out() {
  for (const ec2model::Effect& effect : model_->take_effects()) {
    const ec2model::Instance* instance = model_->find(effect.instance_id);
    if (effect.kind == ec2model::Effect::Kind::kill_machine) {
      host_->kill(effect.instance_id);
      continue;
    }
    ledger_file_->add_machine(model_->ledger().machines().at(effect.instance_id));
    const ec2model::Image* image = model_->find_image(instance->image);
    MachineSpec spec;
    spec.id = instance->id;
    spec.hostname = hostname_of(instance->private_address);
    spec.private_address = instance->private_address;
    spec.public_address = instance->public_address;
    spec.default_user = image->default_user;
    spec.user_data = instance->user_data;
    spec.has_docker = image->has_docker;
    const Status started = host_->start(spec);
    if (!started) {
      log_.error("machine_not_started",
                 {{"instance_id", spec.id}, {"error", started.error().describe()}});
      model_->machine_gone(spec.id, false, clock_.now());
      continue;
    }
    ledger_file_->add_process(spec.id, host_->pid_of(spec.id));
    model_->machine_running(spec.id);
  }
  note_ends();
}

void Simulator::note_ends() {
  for (const auto& [id, entry] : model_->ledger().machines()) {
    if (entry.is_alive() || noted_ends_[id]) continue;
    noted_ends_[id] = true;
    ledger_file_->add_end(entry);
  }
}

std::string Simulator::variables() const {
  return fmt::format(
      "AWS_ENDPOINT_URL={}\nAWS_REGION={}\nAWS_DEFAULT_REGION={}\nAWS_ACCESS_KEY_ID={}\n"
      "AWS_SECRET_ACCESS_KEY={}\n",
      endpoint_, model_->world().region, model_->world().region, user_.access_key_id,
      user_.secret_access_key.reveal());
}

muster::Task<> Simulator::stop() {
  // First nobody can launch any more, then the machines go.
  if (api_server_) co_await api_server_->stop(std::chrono::seconds{1});
  if (model_) {
    carry_out();
    std::vector<std::string> alive;
    for (const auto& [id, entry] : model_->ledger().machines()) alive.push_back(id);
    model_->simulator_stops(clock_.now());
    note_ends();
    for (const std::string& id : alive) host_->kill(id);
    for (int i = 0; host_->count() > 0 && i < 500; ++i) {
      co_await clock_.sleep(std::chrono::milliseconds{10});
    }
  }
  if (metadata_server_) co_await metadata_server_->stop(std::chrono::milliseconds{0});
  tasks_.cancel();
  co_await tasks_.join();
  if (host_) host_->tear_down();
  if (lock_ >= 0) close(lock_);
}

}  // namespace ec2sim
