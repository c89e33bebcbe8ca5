#include "hadal/draw/time_scale.h"

#include <cmath>
#include <utility>

namespace hadal {

TimeScale::TimeScale(std::vector<TimeWindow> windows, double left, double width)
    : windows_(std::move(windows)) {
  double shown = 0;
  for (const TimeWindow& window : windows_) shown += window.to - window.from;
  per_time_ = (width - kCutWidth * static_cast<double>(windows_.size() - 1)) / shown;
  for (const TimeWindow& window : windows_) {
    left_.push_back(left);
    left += (window.to - window.from) * per_time_ + kCutWidth;
  }
}

std::vector<double> TimeScale::ticks(size_t window, double apart) const {
  const double least = apart / per_time_;
  const double power = std::pow(10, std::floor(std::log10(least)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (step < least) step = factor * power;
  }
  std::vector<double> result;
  const auto [from, to] = windows_[window];
  for (double n = std::ceil(from / step - 1e-9); n * step <= to * (1 + 1e-9); ++n) {
    result.push_back(n * step + 0.0);  // not -0
  }
  return result;
}

}  // namespace hadal
