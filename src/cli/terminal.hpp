#pragma once

#include <termios.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"

namespace muster::cli {

enum class Key { none, up, down, page_up, page_down, enter, back, tab, hold, quit };

/// What a terminal sends, as keys. A sequence may come in pieces.
class KeyDecoder {
 public:
  void feed(std::string_view bytes) { typed_ += bytes; }
  /// The next key; Key::none stands for one that means nothing here. Nothing: there is none, or not
  /// the whole of it. When `is_all`, nothing more of it comes: an escape alone is a key then.
  [[nodiscard]] std::optional<Key> take(bool is_all = false);
  [[nodiscard]] bool empty() const { return typed_.empty(); }

 private:
  std::string typed_;
};

/// The terminal, whose keys come at once and unseen, and whose text is another until this ends,
/// also by a signal.
class Screen {
 public:
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  struct Size {
    std::size_t columns = 80;
    std::size_t rows = 24;
  };
  [[nodiscard]] static Size size();

  /// In place of what is shown: so many lines as there are rows, or fewer.
  static void show(const std::vector<std::string>& lines);

  /// The next key; none when the time is over or the terminal has another size. Where the keyboard
  /// is gone, Key::quit.
  [[nodiscard]] Key key_within(Duration time);

 private:
  static void restore();
  static void leave_at_once(int signal);

  // Where the signal handler finds them.
  inline static termios before_{};
  inline static bool has_keys_ = false;
  KeyDecoder decoder_;
};

}  // namespace muster::cli
