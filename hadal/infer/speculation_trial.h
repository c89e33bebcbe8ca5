// infer/speculation_trial.h: whether drafts pay on this machine, with this model and this text.
//
// The first steps of a session take turns, a few with drafts and a few without. Then
//   tokens per second = mean tokens of a step / median seconds of a step
// decides for the rest. The median, since a machine with other work makes single steps long. A
// block's first step is not counted: after plain steps, drafting has their rows to catch up with.
//
// For greedy decoding only: its tokens are the same either way, while a sampled text would depend
// on the clock through the random numbers that drafts use up.
#pragma once

#include <cstdint>
#include <vector>

namespace hadal {

class SpeculationTrial {
 public:
  static constexpr int64_t kBlockSteps = 5, kBlocks = 8;  // of both kinds together

  bool decided() const { return steps_ == kBlockSteps * kBlocks; }
  // What the next step should do.
  bool wants_drafts() const { return decided() ? drafts_pay_ : steps_ / kBlockSteps % 2 == 0; }
  // A step as wanted was made. REQUIRES tokens >= 1.
  void add(int64_t tokens, double seconds);

 private:
  struct Kind {
    std::vector<double> seconds;
    int64_t tokens = 0;
    double tokens_per_s() const;
  };
  Kind with_, without_;
  int64_t steps_ = 0;
  bool drafts_pay_ = true;
};

}  // namespace hadal
