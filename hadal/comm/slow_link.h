// comm/slow_link.h: a network that is slower than what ranks really have, for measuring how much of it is
// hidden.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace hadal {

// A message can be had `latency_seconds` + bytes / `bytes_per_second` after it was sent, one after the other
// on each link from one rank to another. Without numbers it is there as soon as it really is. Of ranks on one
// host: their clocks are one.
struct SlowLink {
  double latency_seconds = 0.0;
  double bytes_per_second = 0.0;  // 0: no limit
};

using LinkClock = std::chrono::steady_clock;
inline LinkClock::duration link_duration(double seconds) {
  constexpr double kLongest = 1e8;  // three years: what a clock can add to now
  return std::chrono::duration_cast<LinkClock::duration>(
      std::chrono::duration<double>(std::min(seconds, kLongest)));
}

// The links from one rank to all.
class SlowLinks {
 public:
  SlowLinks(const SlowLink& link, int rank, int n_ranks)
      : link_(link), rank_(rank), free_(static_cast<size_t>(n_ranks)) {}
  // When a message that leaves now is there; long ago where nothing slows it down.
  LinkClock::time_point arrival(int to, int64_t bytes) {
    LinkClock::time_point& free = free_[static_cast<size_t>(to)];
    if (to == rank_ || (link_.latency_seconds <= 0 && link_.bytes_per_second <= 0)) return {};
    free = std::max(free, LinkClock::now());
    if (link_.bytes_per_second > 0) {
      free += link_duration(static_cast<double>(bytes) / link_.bytes_per_second);
    }
    return free + link_duration(link_.latency_seconds);
  }

 private:
  SlowLink link_;
  int rank_;
  std::vector<LinkClock::time_point> free_;  // [to]
};

}  // namespace hadal
