// infer/step_costs.h: what a pass of the model costs by its number of rows, learned from the passes
// that are made. On a mixture of experts a second row reads other experts, so a pass of two rows may
// cost anything between once and twice a pass of one; only the machine knows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace hadal {

// The median of the last few times: a machine with other work makes single passes long.
class RecentTimes {
 public:
  static constexpr size_t kTrusted = 3, kKept = 5;

  void add(double seconds);
  bool trusted() const { return seconds_.size() >= kTrusted; }
  double median() const;  // 0 if there is none

 private:
  std::vector<double> seconds_;  // the last kKept, in a ring
  size_t next_ = 0;
};

class StepCosts {
 public:
  // A figure older than so many passes is not believed: contexts grow, machines change.
  static constexpr int64_t kOld = 512;

  void add_pass(int64_t n_rows, double seconds);
  // One more draft of every sequence that drafts, by the MTP modules.
  void add_mtp_pass(double seconds) { mtp_.add(seconds); }

  // Seconds of a pass of so many rows. Between two numbers that were measured, a straight line. One
  // row more than was ever measured counts as costing nothing more, so that it is tried if even that
  // promises anything, and measured by it. Nothing is known of what lies beyond.
  std::optional<double> pass_seconds(int64_t n_rows) const;
  double mtp_pass_seconds() const { return mtp_.median(); }

 private:
  struct Entry {
    RecentTimes times;
    int64_t last_pass = 0;
  };
  bool believed(const Entry& entry) const;

  std::map<int64_t, Entry> by_rows_;
  RecentTimes mtp_;
  int64_t n_passes_ = 0;
};

}  // namespace hadal
