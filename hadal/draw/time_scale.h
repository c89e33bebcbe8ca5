// draw/time_scale.h: where a moment lies in a picture. Long timelines show their beginning and
// their end, at a scale that can be read; the steady state between is cut out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

struct TimeWindow {
  double from = 0, to = 0;
};

class TimeScale {
 public:
  // REQUIRES windows in order of time, each of positive length.
  TimeScale(std::vector<TimeWindow> windows, double left, double width);

  const std::vector<TimeWindow>& windows() const { return windows_; }
  double left(size_t window) const { return left_[window]; }
  double right(size_t window) const { return x(window, windows_[window].to); }
  double x(size_t window, double time) const {
    return left_[window] + (time - windows_[window].from) * per_time_;
  }
  // Round moments for the axis, at least `apart` pixels from each other.
  std::vector<double> ticks(size_t window, double apart) const;

  static constexpr double kCutWidth = 56;  // pixels between two windows

 private:
  std::vector<TimeWindow> windows_;
  std::vector<double> left_;
  double per_time_ = 0;
};

}  // namespace hadal
