#include "ec2sim/faults.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <vector>

#include "base/nearest.hpp"
#include "ec2model/filter.hpp"
#include "ec2sim/call.hpp"
#include "ec2sim/ec2_api.hpp"

namespace ec2sim {

using ec2model::Faults;
using muster::ErrorKind;
using muster::fail;

namespace {

const std::map<std::string, double Faults::*>& chances() {
  static const std::map<std::string, double Faults::*> all{
      {"throttle", &Faults::throttle}, {"internal_error", &Faults::internal_error},
      {"lost", &Faults::lost},         {"late", &Faults::late},
      {"cut", &Faults::cut},           {"hang", &Faults::hang},
      {"flap", &Faults::flap},         {"interrupt", &Faults::interrupt},
  };
  return all;
}

const std::map<std::string, muster::Duration Faults::*>& durations() {
  static const std::map<std::string, muster::Duration Faults::*> all{
      {"late_by", &Faults::late_by},
      {"invisible_for", &Faults::invisible_for},
      {"interrupt_after", &Faults::interrupt_after},
      {"notice", &Faults::notice},
  };
  return all;
}

const std::map<std::string, std::vector<std::string> Faults::*>& lists() {
  static const std::map<std::string, std::vector<std::string> Faults::*> all{
      {"actions", &Faults::actions},
      {"no_capacity", &Faults::full_offerings},
  };
  return all;
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& [name, member] : chances()) all.push_back(name);
  for (const auto& [name, member] : durations()) all.push_back(name);
  for (const auto& [name, member] : lists()) all.push_back(name);
  return all;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    if (comma > begin) parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

}  // namespace

muster::Status check_action(const std::string& pattern) {
  static constexpr std::array<const char*, 12> kOthers{
      "DecodeAuthorizationMessage", "AssumeRole",         "AssumeRoleWithWebIdentity",
      "GetCallerIdentity",          "GetParameter",       "GetParameters",
      "GetParametersByPath",        "PutParameter",       "DeleteParameter",
      "DeleteParameters",           "DescribeParameters", "SendSSHPublicKey"};
  std::vector<std::string> known(kOthers.begin(), kOthers.end());
  for (const auto& [action, entry] : all_actions()) known.emplace_back(action);
  for (const std::string& action : known) {
    if (ec2model::matches_wildcard(pattern, action)) return {};
  }
  const auto near = muster::nearest_name(pattern, known);
  return fail(ErrorKind::invalid_input,
              fmt::format("\"{}\" fits no action of the simulator", pattern),
              near ? fmt::format("Did you mean {}?", *near) : "Name actions, or *.");
}

muster::Status check_offering(const std::string& pattern) {
  const bool has_three = std::count(pattern.begin(), pattern.end(), '/') == 2;
  const std::string market = pattern.substr(0, pattern.find('/'));
  const bool is_market =
      ec2model::matches_wildcard(market, "spot") || ec2model::matches_wildcard(market, "on-demand");
  if (has_three && is_market) return {};
  return fail(ErrorKind::invalid_input, fmt::format("\"{}\" is no offering", pattern),
              "Write MARKET/TYPE/ZONE, such as spot/t3.large/us-east-1a or */*/*.");
}

muster::Status set_fault(Faults& faults, const std::string& name, const std::string& value) {
  if (const auto chance = chances().find(name); chance != chances().end()) {
    double number = -1;
    const char* end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, number);
    if (error != std::errc{} || stop != end || !(number >= 0 && number <= 1)) {
      return fail(ErrorKind::invalid_input,
                  fmt::format("fault {} \"{}\" is no chance", name, value),
                  "Give a number from 0 to 1.");
    }
    faults.*(chance->second) = number;
    return {};
  }
  if (const auto duration = durations().find(name); duration != durations().end()) {
    const auto read = muster::parse_duration(value);
    if (!read) {
      return fail(ErrorKind::invalid_input,
                  fmt::format("fault {} \"{}\" is no duration", name, value),
                  "Write a number with ms, s, m or h, such as 2s.");
    }
    faults.*(duration->second) = *read;
    return {};
  }
  if (const auto list = lists().find(name); list != lists().end()) {
    std::vector<std::string> items = split(value);
    for (const std::string& item : items) {
      const muster::Status fine = name == "actions" ? check_action(item) : check_offering(item);
      if (!fine) return fine;
    }
    faults.*(list->second) = std::move(items);
    return {};
  }
  const auto near = muster::nearest_name(name, names());
  return fail(
      ErrorKind::invalid_input, fmt::format("there is no fault \"{}\"", name),
      near ? fmt::format("Did you mean {}?", *near) : fmt::format("Known are {}.", fault_names()));
}

muster::Node describe(const Faults& faults) {
  using muster::Node;
  Node out = Node::mapping();
  for (const auto& [name, member] : chances()) {
    Node value = Node::string(fmt::format("{}", faults.*member));
    value.is_quoted = false;
    out.set(name, value);
  }
  for (const auto& [name, member] : durations()) {
    const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(faults.*member);
    out.set(name, Node::string(fmt::format("{}ms", millis.count())));
  }
  for (const auto& [name, member] : lists()) {
    Node items = Node::sequence();
    for (const std::string& item : faults.*member) items.items.push_back(Node::string(item));
    out.set(name, items);
  }
  return out;
}

std::string fault_names() { return fmt::format("{}", fmt::join(names(), ", ")); }

}  // namespace ec2sim
