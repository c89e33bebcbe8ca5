#include "hadal/optim/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hadal {
namespace {

double after_warmup(const LearningRateSchedule& s, int64_t tokens) {
  if (tokens < s.constant_until_tokens) return s.peak;
  if (tokens < s.decay_until_tokens) {
    const double x = static_cast<double>(tokens - s.constant_until_tokens) /
                     static_cast<double>(s.decay_until_tokens - s.constant_until_tokens);
    return s.end + (s.peak - s.end) * 0.5 * (1.0 + std::cos(std::numbers::pi * x));
  }
  return tokens < s.tail_until_tokens ? s.end : s.tail;
}

double warmup_factor(const LearningRateSchedule& s, const TrainingClock& clock) {
  const auto reached = [](int64_t done, int64_t whole) {
    return std::min(1.0, static_cast<double>(done) / static_cast<double>(whole));
  };
  if (s.warmup_steps > 0) return reached(clock.steps + 1, s.warmup_steps);
  if (s.warmup_tokens > 0) return reached(clock.tokens + clock.batch_tokens, s.warmup_tokens);
  return 1.0;
}

}  // namespace

double learning_rate(const LearningRateSchedule& schedule, const TrainingClock& clock) {
  return after_warmup(schedule, clock.tokens) * warmup_factor(schedule, clock);
}

int64_t batch_sequences(const BatchRamp& ramp, int64_t tokens) {
  if (ramp.start == 0 || tokens >= ramp.ramp_tokens) return ramp.end;
  const double x = static_cast<double>(tokens) / static_cast<double>(ramp.ramp_tokens);
  const auto wanted = static_cast<int64_t>(static_cast<double>(ramp.start) +
                                           x * static_cast<double>(ramp.end - ramp.start));
  return std::max(ramp.quantum, wanted / ramp.quantum * ramp.quantum);
}

}  // namespace hadal
