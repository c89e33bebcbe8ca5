#include "hadal/infer/step_costs.h"

#include <algorithm>

namespace hadal {

void RecentTimes::add(double seconds) {
  if (seconds_.size() < kKept) {
    seconds_.push_back(seconds);
    return;
  }
  seconds_[next_] = seconds;
  next_ = (next_ + 1) % kKept;
}

double RecentTimes::median() const {
  if (seconds_.empty()) return 0.0;
  std::vector<double> sorted = seconds_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

void StepCosts::add_pass(int64_t n_rows, double seconds) {
  ++n_passes_;
  Entry& entry = by_rows_[n_rows];
  if (entry.last_pass + kOld < n_passes_) entry.times = {};
  entry.times.add(seconds);
  entry.last_pass = n_passes_;
}

bool StepCosts::believed(const Entry& entry) const {
  return entry.times.trusted() && entry.last_pass + kOld >= n_passes_;
}

std::optional<double> StepCosts::pass_seconds(int64_t n_rows) const {
  std::optional<std::pair<int64_t, double>> below, above;
  for (const auto& [rows, entry] : by_rows_) {
    if (!believed(entry)) continue;
    if (rows <= n_rows) below = {rows, entry.times.median()};
    if (rows >= n_rows && !above) above = {rows, entry.times.median()};
  }
  if (!below) return std::nullopt;
  if (!above) {
    if (n_rows > below->first + 1) return std::nullopt;
    return below->second;
  }
  if (above->first == below->first) return below->second;
  const double share =
      static_cast<double>(n_rows - below->first) / static_cast<double>(above->first - below->first);
  return below->second + share * (above->second - below->second);
}

}  // namespace hadal
