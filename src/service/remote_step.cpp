#include "service/remote_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/document.hpp"
#include "service/persist.hpp"
#include "wire/follow_marks.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

/// Runs `run` and leaves its exit code and the length of its output in `exit`, at once and whole.
/// The file's room was taken before: a disk that the step has filled must not lose its end.
constexpr std::string_view kSupervisor = R"sh(d=$1
sh "$d/run" > "$d/log" 2>&1 < /dev/null
code=$?
full=
# In a shell of its own: dash keeps what it could not write, and would write it into the next file.
( printf '%8192s' '' > "$d/probe" ) 2> /dev/null || full=full
( : > "$d/probe" ) 2> /dev/null
printf '%-60s\n' "$code $(wc -c < "$d/log") $full" 1<> "$d/exit.part"
mv "$d/exit.part" "$d/exit"
)sh";

constexpr std::string_view kHide = "rm -f -- \"$0\"\n";

/// Starts the supervisor once: `mkdir` of the marker is atomic.
constexpr std::string_view kStart = R"sh(d=$1
if mkdir "$d/started" 2> /dev/null; then
  umask 022
  sh "$d/supervise" "$d" > /dev/null 2>&1 < /dev/null &
  printf '%-20s\n' $! 1<> "$d/pid.part"
  mv "$d/pid.part" "$d/pid"
elif [ ! -d "$d/started" ]; then
  echo "$d/started: $(mkdir "$d/started" 2>&1 && rmdir "$d/started")" >&2
  exit 9
fi
)sh";

/// Output on the one stream, the content of `exit` on the other. It ends when its input does.
constexpr std::string_view kFollow = R"sh(d=$1
# Where tail cannot watch a file (overlays, for one) it looks once a second unless told otherwise.
often=
if tail -s 0.05 -c +1 /dev/null 2> /dev/null; then often='-s 0.05'; fi
tail $often -c "+$2" -f "$d/log" 2> /dev/null < /dev/null &
t=$!
# A step that has just been started may not have its pid on disk yet.
tries=0
while [ ! -e "$d/pid" ] && [ $tries -lt 50 ]; do sleep 0.1 2> /dev/null || sleep 1; tries=$((tries + 1)); done
# A process that has ended and was not reaped can still be signalled.
p=
[ ! -e "$d/pid" ] || read -r p < "$d/pid"
alive() { kill -0 "$p" 2> /dev/null && ! grep -q '^State:.Z' "/proc/$p/status" 2> /dev/null; }
# Short steps are looked at more often: they are many.
looks=0
pause=0.005
while [ ! -e "$d/exit" ]; do
  if ! alive; then
    if [ ! -e "$d/exit" ]; then echo muster-lost >&2; fi
    break
  fi
  sleep $pause 2> /dev/null || sleep 1
  looks=$((looks + 1))
  if [ $looks -gt 20 ]; then pause=0.02; fi
done
if [ -e "$d/exit" ]; then
  read -r code size full < "$d/exit"
  case $code$size in
    '' | *[!0-9]*) echo muster-lost >&2 ;;
    *) echo "muster-exit $code $size $full" >&2 ;;
  esac
fi
read -r _
kill $t 2> /dev/null
)sh";

std::string with_arguments(std::string_view script, const std::vector<std::string>& arguments) {
  std::string line = "set --";
  for (const std::string& argument : arguments) line += " " + shell_quote(argument);
  return line + "\n" + std::string(script);
}

}  // namespace

RemoteStep::RemoteStep(Machine& machine, Clock& clock, std::string folder)
    : machine_(machine), clock_(clock), folder_(std::move(folder)) {}

Task<Status> RemoteStep::start(std::string script, Duration patience) {
  // The marker on the machine keeps a second try from starting it twice.
  Task<Status> starting = persist<void>(
      clock_, patience, [this, &script]() -> Task<Status> { return start_once(script); });
  co_return co_await std::move(starting);
}

Task<Status> RemoteStep::start_once(std::string script) {
  // One command makes the folder and writes both files from its input.
  ExecRequest request;
  request.command = fmt::format(
      // What runs already is not written again under its feet.
      "umask 077; d={0}; if [ -d \"$d/started\" ]; then cat > /dev/null; else\n"
      "mkdir -p \"$d\" && cat > \"$d/supervise\" <<'MUSTER_END'\n{1}MUSTER_END\n"
      // A connection that breaks off ends the input too: only all of it counts.
      "cat > \"$d/run.$$\" && [ \"$(wc -c < \"$d/run.$$\")\" -eq {3} ] && "
      // A second try must not take away what the first one's step has written meanwhile.
      "{{ [ -e \"$d/log\" ] || : > \"$d/log\"; }} && "
      "{{ [ -e \"$d/exit.part\" ] || printf '%-60s\\n' '' > \"$d/exit.part\"; }} && "
      "{{ [ -e \"$d/pid.part\" ] || printf '%-20s\\n' '' > \"$d/pid.part\"; }} && "
      "mv \"$d/run.$$\" \"$d/run\" || {{ rm -f \"$d/run.$$\"; exit 9; }}\nfi\n{2}",
      shell_quote(folder_), kSupervisor, with_arguments(kStart, {folder_}),
      kHide.size() + script.size());
  // It may hold secrets; the shell that reads it keeps it open.
  request.input = std::string(kHide) + script;
  Task<Result<ExecResult>> running = machine_.run(std::move(request));
  const Result<ExecResult> result = co_await std::move(running);
  if (!result) co_return tl::unexpected<Error>(result.error());
  if (result->exit.code == 0) co_return Status();
  const std::string why = result->err.substr(0, result->err.find('\n'));
  // What cannot be written now cannot be written in a moment either.
  const bool is_unwritable = result->exit.code == 9;
  co_return fail(is_unwritable ? ErrorKind::conflict : ErrorKind::unavailable,
                 fmt::format("a step cannot be started on the machine: {}", why),
                 "Give the pool a larger disk, make room in an earlier step, or correct the "
                 "image's /tmp.",
                 "E0433");
}

Task<Result<int>> RemoteStep::follow_once(Progress* progress, const OnOutput* on_output) {
  ExecRequest request;
  request.command = with_arguments(kFollow, {folder_, std::to_string(progress->offset + 1)});
  Task<Result<std::unique_ptr<RemoteProcess>>> starting = machine_.start(std::move(request));
  Result<std::unique_ptr<RemoteProcess>> process = co_await std::move(starting);
  if (!process) co_return tl::unexpected<Error>(process.error());
  wire::FollowMarks marks;
  progress->lost_at.reset();
  while (true) {
    if (marks.end() && progress->offset >= marks.end()->size) {
      if (marks.end()->is_disk_full) {
        (*on_output)("\nmuster: the machine's disk is full; output may be missing\n");
      }
      Task<Status> closing = (*process)->close_input();
      co_await std::move(closing);
      co_return marks.end()->code;
    }
    Task<Result<std::optional<ProcessOutput>>> reading = (*process)->read();
    Result<std::optional<ProcessOutput>> output = co_await std::move(reading);
    if (!output) co_return tl::unexpected<Error>(output.error());
    if (!*output) {
      co_return fail(ErrorKind::unavailable, "the step's output ended before its exit code came");
    }
    if (!(*output)->is_error) {
      std::string_view bytes = (*output)->bytes;
      if (marks.end()) {
        const long rest = std::max(0L, marks.end()->size - progress->offset);
        bytes = bytes.substr(0, static_cast<std::size_t>(rest));
      }
      progress->offset += static_cast<long>(bytes.size());
      (*on_output)(bytes);
      continue;
    }
    marks.feed((*output)->bytes);
    if (marks.is_lost()) {
      co_return fail(ErrorKind::corrupt,
                     "the step's supervisor is gone without an exit code; was it killed, or the "
                     "machine out of memory?",
                     {}, "lost");
    }
  }
}

Task<Result<int>> RemoteStep::follow(long offset, OnOutput on_output, Duration patience,
                                     OnLost on_lost, FindEnd find_end) {
  Progress progress{offset, {}};
  Duration pause = 100ms;
  while (true) {
    Task<Result<int>> following = follow_once(&progress, &on_output);
    Result<int> code = co_await std::move(following);
    if (code || !is_retryable(code.error().kind)) co_return code;
    const Duration now = clock_.monotonic();
    if (!progress.lost_at) {
      progress.lost_at = now;
      if (on_lost) on_lost(code.error());
      pause = 100ms;
    }
    // The first retry comes at once: most cuts heal before EC2 could be asked.
    if (find_end && now != *progress.lost_at) {
      Task<std::optional<Error>> finding = find_end();
      const std::optional<Error> end = co_await std::move(finding);
      if (end) co_return tl::unexpected<Error>(*end);
    }
    if (now - *progress.lost_at > patience) {
      code.error().code = "E0425";
      code.error().remedy = "Look at the machine's console and at the network between.";
      co_return code;
    }
    co_await clock_.sleep(pause);
    pause = std::min<Duration>(pause * 2, 5s);
  }
}

}  // namespace muster
