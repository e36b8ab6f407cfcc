#include "cli/errors.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>

#include "cli/renderer.hpp"

namespace muster::cli {
namespace {

constexpr std::array<ErrorPage, 42> kPages{{
    {"E0101", "Wrong use of the command line",
     "An option, argument or command does not exist or lacks its value.",
     "muster help COMMAND lists what there is.",
     "Correct the command; the message names the nearest known word."},
    {"E0102", "The request is wrong as it stands",
     "A value was refused: by muster, or by EC2 with the code shown.",
     "The message names the value.", "Correct it; trying again unchanged gives the same answer."},
    {"E0201", "No valid AWS credentials",
     "None were found, or AWS does not know them, or they have expired.",
     "aws sts get-caller-identity",
     "Export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, set AWS_PROFILE, or run on an instance "
     "with a role."},
    {"E0202", "A permission is missing", "AWS knows who asks and does not allow this call.",
     "The message names the action.", "Allow the action in the policy of the user or role."},
    {"E0203", "No region", "Neither muster.yml nor the environment nor the profile names one.",
     "echo $AWS_REGION", "Set region in muster.yml, or AWS_REGION."},
    {"E0301", "muster.yml or the pipeline has problems",
     "Each is shown with its place, value and remedy.", "muster config check",
     "Correct each where it stands; its line says how."},
    {"E0302", "No pool to run on",
     "The pipeline names no pool that muster.yml has, and no instance block.",
     "muster config check shows the pools.",
     "Name one with --pool, with pool.use, or add an instance block."},
    {"E0303", "A file cannot be read", "It does not exist, or permissions forbid it.",
     "ls -l on the path shown.", "Correct the path or its permissions."},
    {"E0401", "No such image", "No image of that name and owner exists in the region.",
     "aws ec2 describe-images --owners OWNER --filters Name=name,Values=NAME",
     "Correct image or image_owner of the pool."},
    {"E0402", "No subnet", "The account has no default subnet in the region.",
     "aws ec2 describe-subnets", "List subnets of the pool."},
    {"E0403", "No such security group",
     "The VPC of the pool's subnets has no group of that id or name.",
     "aws ec2 describe-security-groups", "Correct security_groups of the pool."},
    {"E0404", "Something named does not exist", "EC2 does not know an id or a name that was sent.",
     "The message names it.", "Correct it; it may be in another region."},
    {"E0410", "AWS asks to slow down", "The account's request rate for this call is used up.",
     "CloudTrail shows who calls so often.", "Try again later."},
    {"E0412", "No capacity", "No offering of the pool had room.", "The message lists each try.",
     "Allow on-demand, add instance types or subnets, or try again later."},
    {"E0413", "Quota exceeded", "The account's vCPU or spot quota is used up.",
     "aws service-quotas list-service-quotas --service-code ec2",
     "Ask AWS for a higher quota, or end machines that are not needed."},
    {"E0414", "The pool is full", "It has as many machines as max_instances allows.",
     "aws ec2 describe-instances --filters Name=tag:muster:pool,Values=NAME",
     "Wait for one to end, or raise max_instances."},
    {"E0420", "The machine was not usable in time",
     "No host keys on its console, no SSH, or no login within boot_timeout.",
     "aws ec2 get-console-output --latest --instance-id ID",
     "The image must run cloud-init and sshd and have the pool's ssh.user; the security group must "
     "let its port in; or raise boot_timeout."},
    {"E0421", "Another machine answers",
     "The host key at the address is not the one on the console of the machine that was launched. "
     "Nothing was sent to it.",
     "Who owns that address now?",
     "Find out before trying again. There is no switch to skip this check."},
    {"E0422", "The machine ended by itself", "EC2 or the machine ended it before it could be used.",
     "The message has EC2's reason.",
     "Look at the image, its encryption key and the pool's user_data."},
    {"E0423", "The machine is gone",
     "It ended while no muster worked on the run: by its dead-man timer, or EC2 took it back.",
     "aws ec2 describe-instances --instance-ids ID shows its state reason.",
     "Run the pipeline again; raise dead_man where crashes may take longer to mend."},
    {"E0424", "The machine ended under its job",
     "EC2 took a spot machine back, someone ended it, or it shut itself down.",
     "The message has EC2's reason; CloudTrail shows who asked for it.",
     "Run the pipeline again; on_demand: only keeps EC2 from taking machines back."},
    {"E0425", "The machine cannot be reached any more",
     "The connection was lost during a step and could not be made again: muster exec tries for two "
     "minutes, the daemon for as long as the job may take. EC2 says the machine runs.",
     "aws ec2 get-console-output --latest --instance-id ID; the route to it",
     "Run the pipeline again; a machine out of memory or without network needs another type or "
     "image."},
    {"E0431", "No Docker engine on the machine",
     "A step has an image, and nothing answers at /var/run/docker.sock for the pool's user.",
     "docker version on the machine",
     "Choose an image with Docker, or install it with user_data; the user must be in the group "
     "docker."},
    {"E0432", "The repository cannot be unpacked",
     "The machine's image lacks git, or its disk is full.", "git --version; df on the machine",
     "Install git with user_data, or enlarge the disk."},
    {"E0433", "A step cannot be started",
     "The machine's disk is full, or its /tmp cannot be written.", "df; ls -ld /tmp on the machine",
     "Enlarge the disk, or correct the image."},
    {"E0434", "An image cannot be had",
     "A registry does not have it, cannot be reached from the machine, or pull is never and it is "
     "not there.",
     "docker pull IMAGE on the machine",
     "Correct the name, build it in an earlier step, or give the machine a way to the registry."},
    {"E0440", "The run took too long", "It was ended after --timeout.",
     "Which step was running is shown above.", "Raise --timeout."},
    {"E0441", "The run is being worked on", "Another muster holds it.", "ps shows a muster exec.",
     "Wait for it to end; a run cannot be done twice at once."},
    {"E0442", "No such run", "The state folder has no run of that name.",
     "The message lists those that wait; MUSTER_STATE may name another folder.",
     "Correct the name: it is shown when a run starts."},
    {"E0443", "The run has ended", "It passed, failed, or was interrupted; nothing is left to do.",
     "Its logs are in the state folder, below runs/.", "Start a new run."},
    {"E0450", "Unreachable", "No answer came from the other side in time.",
     "Is the endpoint right, and does a proxy or firewall stand between?",
     "Try again; a run that was started is safe to repeat."},
    {"E0501", "An answer cannot be read, or the store is damaged",
     "The other side or the disk gave something unreadable.", "The message names it.",
     "Move a damaged store away; report an unreadable answer of AWS."},
    {"E0502", "Something is in the way",
     "A state forbids it: protection, another state, a newer schema.", "The message names it.",
     "Change that state, then try again."},
    {"E0601", "A daemon runs already",
     "Two daemons on one state folder would end each other's machines.",
     "ps shows a muster daemon.",
     "Stop it, or give this one a state folder (MUSTER_STATE) and a cluster of its own."},
    {"E0602", "Nothing to keep", "The configuration has no pools, or pools of another region.",
     "muster config check", "Add a pool to muster.yml; run one daemon for each region."},
    {"E0603", "No pool fits", "No pool of muster.yml has what the job asks for.",
     "The message names the labels.", "Correct --label or --pool, or the labels of a pool."},
    {"E0604", "No daemon answers", "No muster daemon runs on this state folder.",
     "ps shows a muster daemon; MUSTER_STATE names its state folder.",
     "Start one, or set MUSTER_STATE to the folder of the one that is meant."},
    {"E0605", "The daemon knows nothing of that name",
     "There is no such job, step, pool or instance, or it has been forgotten since.",
     "muster jobs, muster pools and muster instances list what there is.", "Correct the name."},
    {"E0606", "The daemon will not do that as things are",
     "A job would be lost, or belongs to a CI server that has to be told.",
     "The message says what stands in the way.", "Do what the message says."},
    {"E0607", "The daemon does not know who asks",
     "Only the user that runs it, and root, may use its local socket.", "id; ls -l on the socket",
     "Ask as that user."},
    {"E0608", "The daemon does not accept the token",
     "Over TCP it asks for a token that it knows, that has not expired and whose role allows the "
     "request; many wrong ones from an address are refused for a minute.",
     "muster token list, on the daemon's machine",
     "Make one with muster token create, put it into a file and name that in MUSTER_TOKEN_FILE."},
    {"E0609", "There is no way onto the machine",
     "The job has no machine (any more), the machine is not up yet, or ssh is not installed here.",
     "muster job show JOB; muster instances",
     "Connect while the job runs, on the daemon's machine and as its user."},
}};

std::string_view code_of_kind(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_input: return "E0102";
    case ErrorKind::unauthenticated: return "E0201";
    case ErrorKind::forbidden: return "E0202";
    case ErrorKind::not_found: return "E0404";
    case ErrorKind::conflict: return "E0502";
    case ErrorKind::throttled: return "E0410";
    case ErrorKind::capacity_unavailable: return "E0412";
    case ErrorKind::quota_exceeded: return "E0413";
    case ErrorKind::unavailable:
    case ErrorKind::timeout: return "E0450";
    case ErrorKind::cancelled: return "";
    case ErrorKind::corrupt: return "E0501";
  }
  return "";
}

bool is_own(std::string_view code) { return find_page(code) != nullptr; }

}  // namespace

const ErrorPage* find_page(std::string_view code) {
  for (const ErrorPage& page : kPages) {
    if (page.code == code) return &page;
  }
  return nullptr;
}

std::string code_of(const Error& error) {
  return is_own(error.code) ? error.code : std::string(code_of_kind(error.kind));
}

int exit_code_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::invalid_input:
    case ErrorKind::not_found: return kWrongUse;
    case ErrorKind::unauthenticated:
    case ErrorKind::forbidden:
    case ErrorKind::conflict:
    case ErrorKind::throttled:
    case ErrorKind::capacity_unavailable:
    case ErrorKind::quota_exceeded: return kRefused;
    case ErrorKind::unavailable:
    case ErrorKind::timeout: return kUnreachable;
    case ErrorKind::cancelled: return kInterrupted;
    case ErrorKind::corrupt: return kBug;
  }
  return kBug;
}

int report(const Error& error) {
  if (error.kind == ErrorKind::cancelled) {
    fmt::print(stderr, "muster: interrupted; {}\n",
               error.message.empty() ? "nothing was left behind." : error.message);
    return kInterrupted;
  }
  // The code comes behind the first line; details may follow below it.
  const std::size_t line_end = error.message.find('\n');
  std::string first = error.message.substr(0, line_end);
  if (!error.code.empty() && !is_own(error.code)) first += fmt::format(" ({})", error.code);
  for (const std::string& step : error.context) first += fmt::format(", in {}", step);
  fmt::print(stderr, "muster: {} ({})\n", neutralised(first, false), code_of(error));
  if (line_end != std::string::npos) fmt::print(stderr, "{}\n", error.message.substr(line_end + 1));
  const ErrorPage* page = find_page(code_of(error));
  const std::string_view remedy =
      error.remedy.empty() && page != nullptr ? page->remedy : std::string_view(error.remedy);
  if (!remedy.empty()) fmt::print(stderr, "{}\n", remedy);
  return exit_code_of(error);
}

std::string pages_as_markdown() {
  std::string out =
      "# Errors\n\nEvery error of `muster` has a code. `muster help CODE` prints the same.\n"
      "Exit codes: 0 done, 1 the pipeline failed, 2 wrong use or configuration, 3 refused,\n"
      "4 unreachable or timed out, 5 a bug or a damaged store, 130 interrupted.\n";
  for (const ErrorPage& page : kPages) {
    out += fmt::format("\n## {}: {}\n\n- Cause: {}\n- Check: {}\n- Remedy: {}\n", page.code,
                       page.title, page.cause, page.check, page.remedy);
  }
  return out;
}

}  // namespace muster::cli
