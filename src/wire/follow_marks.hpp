#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace muster::wire {

/// What a step's follower says beside the output: that the step ended, or that nobody minds it any
/// more. Only whole marked lines count; a login shell may have things of its own to say there.
class FollowMarks {
 public:
  struct End {
    int code = 0;
    long size = 0;  ///< Of the whole output, in bytes.
    bool is_disk_full = false;
  };

  void feed(std::string_view bytes);
  [[nodiscard]] const std::optional<End>& end() const { return end_; }
  [[nodiscard]] bool is_lost() const { return is_lost_; }

 private:
  void read(std::string_view line);

  std::string partial_;
  bool is_too_long_ = false;
  std::optional<End> end_;
  bool is_lost_ = false;
};

}  // namespace muster::wire
