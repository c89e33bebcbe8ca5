// optim/learning_rate.h: schedules whose clock is the number of tokens seen (report section 4.2).
//
//   warm-up    linear from 0 to peak, over steps or over tokens
//   constant   peak until constant_until
//   cosine     end + (peak - end) * (1 + cos(pi * x)) / 2, x from 0 to 1 at decay_until
//   tail       end until tail_until, then tail
// Tokens, not steps, because the batch grows during training and a run may be cut into parts.
#pragma once

#include <cstdint>

namespace hadal {

struct LearningRateSchedule {  // defaults: DeepSeek-V3
  double peak = 2.2e-4, end = 2.2e-5, tail = 7.3e-6;
  int64_t warmup_steps = 2000;
  int64_t warmup_tokens = 0;  // used when warmup_steps is 0
  int64_t constant_until_tokens = 10'000'000'000'000;
  int64_t decay_until_tokens = 14'300'000'000'000;
  int64_t tail_until_tokens = 14'633'000'000'000;
};

// Where training stands before a step.
struct TrainingClock {
  int64_t steps = 0, tokens = 0;
  int64_t batch_tokens = 0;  // what this step adds
};

// The first step of a warm-up takes 1/warmup_steps of the peak, not 0: no step is wasted.
double learning_rate(const LearningRateSchedule& schedule, const TrainingClock& clock);

// Sequences per step: linear in tokens from `start` to `end` until ramp_tokens, rounded down to a
// multiple of `quantum` (but at least one quantum). The published ramp gives only its two ends.
struct BatchRamp {
  int64_t start = 0, end = 0;  // sequences; no ramp when start is 0
  int64_t ramp_tokens = 0;
  int64_t quantum = 1;
};
int64_t batch_sequences(const BatchRamp& ramp, int64_t tokens);

// A weight that has one value before `until_tokens` and another from there on: lambda of the MTP
// loss (0.3, then 0.1), gamma of the router's bias update (0.001, then 0).
struct SwitchSchedule {
  double before = 0, after = 0;
  int64_t until_tokens = 0;  // 0: `before` for ever
  double at(int64_t tokens) const {
    return until_tokens == 0 || tokens < until_tokens ? before : after;
  }
};

}  // namespace hadal
