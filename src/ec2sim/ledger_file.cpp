#include "ec2sim/ledger_file.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "adapters/system/files.hpp"
#include "base/document.hpp"
#include "wire/json.hpp"

namespace ec2sim {
namespace {

using muster::Node;

std::string path_of(const std::string& state_dir) { return state_dir + "/ledger.jsonl"; }

Node text(std::string value) { return Node::string(std::move(value)); }

Node time_of(muster::TimePoint at) { return Node::string(muster::format_iso8601_millis(at)); }

ec2model::MachineEntry read_machine(const Node& line) {
  ec2model::MachineEntry entry;
  entry.id = line.text_at({"id"});
  entry.reservation = line.text_at({"reservation"});
  entry.instance_type = line.text_at({"type"});
  entry.zone = line.text_at({"zone"});
  entry.intent = line.text_at({"intent"});
  entry.client_token = line.text_at({"token"});
  entry.is_spot = line.text_at({"spot"}) == "true";
  entry.has_tags = line.text_at({"tagged"}) == "true";
  entry.usd_micros_per_hour =
      static_cast<long>(muster::parse_integer(line.text_at({"usd_micros_per_hour"})).value_or(0));
  entry.launched_at = muster::parse_iso8601(line.text_at({"at"})).value_or(muster::TimePoint{});
  return entry;
}

/// Whether the network of a machine's process has an established connection to its sshd.
bool has_ssh_connection(const StoredLedger::Process& process) {
  const auto address = ec2model::parse_address(process.ssh_address);
  // A machine with a network of its own may have several addresses; on the host's it has one.
  const bool is_own_network = !address || *address >> 24 != 127;
  const std::string port = fmt::format(":{:04X}", process.ssh_port);
  const std::string local =
      is_own_network ? port : fmt::format("{:08X}{}", __builtin_bswap32(*address), port);
  std::ifstream file(fmt::format("/proc/{}/net/tcp", process.pid));
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string slot;
    std::string own;
    std::string remote;
    std::string state;
    words >> slot >> own >> remote >> state;
    if (own.ends_with(local) && state == "01") return true;
  }
  return false;
}

}  // namespace

muster::Result<LedgerFile> LedgerFile::open(const std::string& state_dir) {
  LedgerFile ledger;
  ledger.file_.reset(std::fopen(path_of(state_dir).c_str(), "ae"));
  if (!ledger.file_) {
    return muster::fail(
        muster::ErrorKind::unavailable,
        fmt::format("cannot write {}: {}", path_of(state_dir), std::strerror(errno)),
        "Name a folder that can be written with --state.");
  }
  return ledger;
}

void LedgerFile::write(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), file_.get());
  std::fputc('\n', file_.get());
  std::fflush(file_.get());
}

void LedgerFile::add_call(muster::TimePoint at, const std::string& action,
                          const std::string& error_code) {
  Node line = Node::mapping();
  line.set("kind", text("call")).set("at", time_of(at)).set("action", text(action));
  if (!error_code.empty()) line.set("error", text(error_code));
  write(muster::wire::to_json(line));
}

void LedgerFile::add_machine(const ec2model::MachineEntry& entry) {
  Node line = Node::mapping();
  line.set("kind", text("machine")).set("at", time_of(entry.launched_at)).set("id", text(entry.id));
  line.set("reservation", text(entry.reservation)).set("type", text(entry.instance_type));
  line.set("zone", text(entry.zone)).set("intent", text(entry.intent));
  line.set("token", text(entry.client_token)).set("spot", Node::boolean(entry.is_spot));
  line.set("tagged", Node::boolean(entry.has_tags));
  line.set("usd_micros_per_hour", Node::number(entry.usd_micros_per_hour));
  write(muster::wire::to_json(line));
}

void LedgerFile::add_process(const std::string& id, int pid, const std::string& ssh_address,
                             int ssh_port) {
  Node line = Node::mapping();
  line.set("kind", text("process")).set("id", text(id)).set("pid", Node::number(pid));
  line.set("ssh", text(ssh_address)).set("port", Node::number(ssh_port));
  write(muster::wire::to_json(line));
}

void LedgerFile::add_state(muster::TimePoint at, const std::string& id, bool is_stopped) {
  Node line = Node::mapping();
  line.set("kind", text(is_stopped ? "stop" : "start")).set("at", time_of(at)).set("id", text(id));
  write(muster::wire::to_json(line));
}

void LedgerFile::add_fault(muster::TimePoint at, const std::string& fault) {
  Node line = Node::mapping();
  line.set("kind", text("fault")).set("at", time_of(at)).set("fault", text(fault));
  write(muster::wire::to_json(line));
}

void LedgerFile::add_end(const ec2model::MachineEntry& entry) {
  Node line = Node::mapping();
  line.set("kind", text("end")).set("at", time_of(entry.ended_at)).set("id", text(entry.id));
  line.set("reason", text(entry.end_reason));
  write(muster::wire::to_json(line));
}

muster::Result<StoredLedger> read_ledger(const std::string& state_dir) {
  const std::string path = path_of(state_dir);
  const muster::Result<std::string> all = muster::system::read_file(path, std::size_t{1} << 30);
  if (!all) return tl::unexpected<muster::Error>(all.error());
  StoredLedger stored;
  std::istringstream lines(*all);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const bool is_last = lines.peek() == EOF;
    const muster::Result<Node> node = muster::wire::parse_json(line);
    if (!node) {
      // The last line may be half of one, if the simulator was killed.
      if (is_last) break;
      return muster::fail(muster::ErrorKind::corrupt,
                          fmt::format("{}:{}: {}", path, number, node.error().message));
    }
    const std::string kind = node->text_at({"kind"});
    const std::string id = node->text_at({"id"});
    if (kind == "call") stored.ledger.add_call(node->text_at({"action"}), node->text_at({"error"}));
    if (kind == "machine") stored.ledger.add_machine(read_machine(*node));
    if (kind == "process") {
      stored.processes[id] = {
          static_cast<int>(muster::parse_integer(node->text_at({"pid"})).value_or(0)),
          node->text_at({"ssh"}),
          static_cast<int>(muster::parse_integer(node->text_at({"port"})).value_or(22))};
    }
    const auto at = muster::parse_iso8601(node->text_at({"at"})).value_or(muster::TimePoint{});
    if (kind == "stop") stored.ledger.stop_machine(id, at);
    if (kind == "start") stored.ledger.start_machine(id, at);
    if (kind == "fault") stored.ledger.add_fault(node->text_at({"fault"}));
    if (kind == "end") {
      stored.ledger.end_machine(id, at, node->text_at({"reason"}));
    }
  }
  return stored;
}

bool is_attended(const ec2model::MachineEntry& entry, const StoredLedger::Process& process,
                 muster::TimePoint now) {
  return now - entry.launched_at < std::chrono::minutes{1} ||
         (process.pid > 0 && has_ssh_connection(process));
}

std::string describe(const ec2model::Verdict& verdict) {
  std::string out = fmt::format(
      "{} leaked, {} duplicated, {} untagged, {} alive\n"
      "  machines  {} · {:.0f} s billed · ${:.5f}\n  calls    ",
      verdict.leaked, verdict.duplicated, verdict.untagged, verdict.alive, verdict.machines,
      verdict.seconds, verdict.usd);
  for (const auto& [action, count] : verdict.calls) out += fmt::format(" {} {}", action, count);
  if (!verdict.errors.empty()) out += "\n  refused  ";
  for (const auto& [code, count] : verdict.errors) out += fmt::format(" {} {}", code, count);
  if (!verdict.faults.empty()) out += "\n  faults   ";
  for (const auto& [fault, count] : verdict.faults) out += fmt::format(" {} {}", fault, count);
  return out + "\n";
}

std::string to_json(const ec2model::Verdict& verdict) {
  Node out = Node::mapping();
  const auto counts = [](const std::map<std::string, int>& from) {
    Node node = Node::mapping();
    for (const auto& [name, count] : from) node.set(name, Node::number(count));
    return node;
  };
  out.set("schema", text("ec2sim.ledger/1")).set("leaked", Node::number(verdict.leaked));
  out.set("duplicated", Node::number(verdict.duplicated));
  out.set("untagged", Node::number(verdict.untagged)).set("alive", Node::number(verdict.alive));
  out.set("machines", Node::number(verdict.machines));
  Node seconds = text(fmt::format("{:.3f}", verdict.seconds));
  Node usd = text(fmt::format("{:.6f}", verdict.usd));
  seconds.is_quoted = false;
  usd.is_quoted = false;
  out.set("machine_seconds", seconds).set("usd", usd);
  out.set("calls", counts(verdict.calls)).set("errors", counts(verdict.errors));
  out.set("faults", counts(verdict.faults));
  return muster::wire::to_json(out, 2) + "\n";
}

}  // namespace ec2sim
