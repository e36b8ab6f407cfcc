#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"
#include "ports/machine.hpp"

namespace muster {

/// A command that runs on a machine on its own: started once, its output and exit code in files
/// there, followed by offset. It survives a dropped connection and a restart of muster. What it
/// needs on the machine is a POSIX shell.
class RemoteStep {
 public:
  using OnOutput = std::function<void(std::string_view bytes)>;
  using OnLost = std::function<void(const Error& error)>;
  /// Why the machine is no more; nothing while it lives, or when that cannot be told.
  using FindEnd = std::function<Task<std::optional<Error>>()>;

  /// `folder` is the step's own on the machine. All of the class throws nothing but cancellation.
  RemoteStep(Machine& machine, Clock& clock, std::string folder);

  /// Starts `script` with the shell, unless it was started before. A lost connection is made again
  /// for as long as `patience`. Errors: unavailable.
  Task<Status> start(std::string script, Duration patience);

  /// Hands over the output from `offset` on, and gives the exit code when all of it was. A lost
  /// connection is made again and the output goes on at the byte where it stopped, for as long as
  /// `patience` each time; `on_lost` is told when it is lost, and `find_end` asked whether waiting
  /// makes sense. A disk that was full at the end is told below the output. Errors: unavailable;
  /// `lost` as code when the step's supervisor is gone without an exit code; what `find_end` found.
  Task<Result<int>> follow(long offset, OnOutput on_output, Duration patience, OnLost on_lost = {},
                           FindEnd find_end = {});

 private:
  struct Progress {
    long offset = 0;
    std::optional<Duration> lost_at;  ///< Since when there has been no way in.
  };
  Task<Status> start_once(std::string script);
  Task<Result<int>> follow_once(Progress* progress, const OnOutput* on_output);

  Machine& machine_;
  Clock& clock_;
  std::string folder_;
};

}  // namespace muster
