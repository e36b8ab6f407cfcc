#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "service/run_observer.hpp"

namespace muster::cli {

/// Shows a run as it goes: the steps' output and results on standard output, all else on standard
/// error. Without a terminal there is no colour, and each event is one line.
class Renderer : public RunObserver {
 public:
  struct Options {
    bool is_quiet = false;  ///< Only the steps' output and the result.
    bool has_colour = false;
    bool is_terminal = false;  ///< Control sequences in output are neutralised.
    std::size_t name_width = 8;
  };

  explicit Renderer(Options options) : options_(options) {}

  void phase_done(std::string_view name, std::string_view text, Duration took) override;
  void note(std::string_view text) override;
  void step_started(const std::string& step) override;
  void step_output(const std::string& step, std::string_view bytes) override;
  void step_finished(const std::string& step, const StepResult& result) override;

  /// The last lines of steps that failed, with exit code: shown again at the end.
  void show_failures();

  /// Called once when standard output can no longer be written.
  std::function<void()> on_lost;

 private:
  struct Tail {
    std::string partial;
    std::string lines;  ///< The last few, joined.
    std::string last;
    StepResult result;
  };
  void write(const std::string& text);
  static void say(const std::string& text);
  void line(const std::string& step, std::string_view text);
  [[nodiscard]] std::string colour(std::string_view code, std::string_view text) const;

  Options options_;
  bool is_lost_ = false;
  std::map<std::string, Tail> tails_;
};

/// Control characters and escape sequences as visible text; colours may be kept.
[[nodiscard]] std::string neutralised(std::string_view text, bool keeps_colours = true);
/// Without colours, and with nothing that moves to another column.
[[nodiscard]] std::string on_one_line(std::string_view text);

}  // namespace muster::cli
