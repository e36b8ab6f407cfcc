#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/json/src.hpp>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "ec2sim/guest/guest.hpp"

namespace ec2sim::guest {
namespace {

namespace json = boost::json;

constexpr const char* kCapabilities[] = {"CAP_CHOWN",
                                         "CAP_DAC_OVERRIDE",
                                         "CAP_DAC_READ_SEARCH",
                                         "CAP_FOWNER",
                                         "CAP_FSETID",
                                         "CAP_KILL",
                                         "CAP_SETGID",
                                         "CAP_SETUID",
                                         "CAP_SETPCAP",
                                         "CAP_LINUX_IMMUTABLE",
                                         "CAP_NET_BIND_SERVICE",
                                         "CAP_NET_BROADCAST",
                                         "CAP_NET_ADMIN",
                                         "CAP_NET_RAW",
                                         "CAP_IPC_LOCK",
                                         "CAP_IPC_OWNER",
                                         "CAP_SYS_MODULE",
                                         "CAP_SYS_RAWIO",
                                         "CAP_SYS_CHROOT",
                                         "CAP_SYS_PTRACE",
                                         "CAP_SYS_PACCT",
                                         "CAP_SYS_ADMIN",
                                         "CAP_SYS_BOOT",
                                         "CAP_SYS_NICE",
                                         "CAP_SYS_RESOURCE",
                                         "CAP_SYS_TIME",
                                         "CAP_SYS_TTY_CONFIG",
                                         "CAP_MKNOD",
                                         "CAP_LEASE",
                                         "CAP_AUDIT_WRITE",
                                         "CAP_AUDIT_CONTROL",
                                         "CAP_SETFCAP",
                                         "CAP_MAC_OVERRIDE",
                                         "CAP_MAC_ADMIN",
                                         "CAP_SYSLOG",
                                         "CAP_WAKE_ALARM",
                                         "CAP_BLOCK_SUSPEND",
                                         "CAP_AUDIT_READ",
                                         "CAP_PERFMON",
                                         "CAP_BPF",
                                         "CAP_CHECKPOINT_RESTORE"};

constexpr const char* kLimits[] = {"CPU",      "FSIZE",  "DATA",    "STACK", "CORE",  "RSS",
                                   "NPROC",    "NOFILE", "MEMLOCK", "AS",    "LOCKS", "SIGPENDING",
                                   "MSGQUEUE", "NICE",   "RTPRIO",  "RTTIME"};

bool is_granted(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kCapabilities); ++i) {
    if (name == kCapabilities[i]) return prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;
  }
  return false;
}

void filter_capabilities(json::object& process) {
  json::value* sets = process.if_contains("capabilities");
  if (sets == nullptr || !sets->is_object()) return;
  for (auto& set : sets->as_object()) {
    if (!set.value().is_array()) continue;
    json::array kept;
    for (const json::value& name : set.value().as_array()) {
      if (name.is_string() && is_granted(name.as_string())) kept.push_back(name);
    }
    set.value() = std::move(kept);
  }
}

void cap_limits(json::object& process) {
  json::value* limits = process.if_contains("rlimits");
  if (limits == nullptr || !limits->is_array()) return;
  for (json::value& limit : limits->as_array()) {
    for (std::size_t i = 0; i < std::size(kLimits); ++i) {
      if (limit.at("type").as_string() != std::string("RLIMIT_") + kLimits[i]) continue;
      rlimit own{};
      getrlimit(static_cast<__rlimit_resource>(i), &own);
      for (const char* key : {"hard", "soft"}) {
        const auto asked = limit.at(key).to_number<std::uint64_t>();
        if (asked > own.rlim_max) limit.at(key) = static_cast<std::uint64_t>(own.rlim_max);
      }
    }
  }
}

void raise_oom_score(json::object& process) {
  json::value* score = process.if_contains("oomScoreAdj");
  if (score == nullptr) return;
  int own = 0;
  std::ifstream("/proc/self/oom_score_adj") >> own;
  if (score->to_number<int>() < own) *score = own;
}

/// Rewrites a runtime configuration, or the process of an `exec`; leaves what it cannot read.
void filter_file(const std::string& path) {
  std::ifstream in(path);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  json::error_code error;
  json::value document = json::parse(text, error);
  if (error || !document.is_object()) return;
  json::value* inner = document.as_object().if_contains("process");
  json::object& process =
      inner != nullptr && inner->is_object() ? inner->as_object() : document.as_object();
  filter_capabilities(process);
  cap_limits(process);
  raise_oom_score(process);
  std::ofstream(path, std::ios::trunc) << json::serialize(document);
}

}  // namespace

int runtime_main(int argc, char** argv) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--bundle") == 0)
      filter_file(std::string(argv[i + 1]) + "/config.json");
    if (std::strcmp(argv[i], "--process") == 0) filter_file(argv[i + 1]);
  }
  char name[] = "runc";
  argv[0] = name;
  execvp("runc", argv);
  std::perror("ec2sim-runc: runc");
  return 127;
}

}  // namespace ec2sim::guest
