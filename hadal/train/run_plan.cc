#include "hadal/train/run_plan.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/checked_math.h"

namespace hadal {
namespace {

// Tokens after `steps` steps; only a ramp needs to be walked.
int64_t tokens_of_steps(const TrainConfig& config, int64_t steps) {
  const BatchRamp ramp = batch_ramp(config);
  int64_t tokens = 0;
  for (int64_t step = 0; step < steps; ++step) {
    if (ramp.start == 0 || tokens >= ramp.ramp_tokens) {
      return tokens + (steps - step) * ramp.end * config.train.seq_len;
    }
    tokens += batch_sequences(ramp, tokens) * config.train.seq_len;
  }
  return tokens;
}

// The other way round: the steps until `tokens` are reached.
int64_t steps_of_tokens(const TrainConfig& config, int64_t tokens) {
  const BatchRamp ramp = batch_ramp(config);
  int64_t steps = 0, seen = 0;
  while (seen < tokens) {
    const int64_t step_tokens = batch_sequences(ramp, seen) * config.train.seq_len;
    if (ramp.start == 0 || seen >= ramp.ramp_tokens) {
      return steps + ceil_div(tokens - seen, step_tokens);
    }
    seen += step_tokens;
    ++steps;
  }
  return steps;
}

}  // namespace

RunPlan::RunPlan(const TrainConfig& config) : config_(config) {
  if (config.train.steps > 0) planned_tokens_ = tokens_of_steps(config, config.train.steps);
  if (config.train.tokens > 0) {
    planned_tokens_ =
        planned_tokens_ > 0 ? std::min(planned_tokens_, config.train.tokens) : config.train.tokens;
  }
}

int64_t RunPlan::planned_steps() const {
  const int64_t steps = steps_of_tokens(config_, planned_tokens_);
  return config_.train.steps > 0 ? std::min(steps, config_.train.steps) : steps;
}

bool RunPlan::by_time_alone() const {
  return config_.train.steps == 0 && config_.train.tokens == 0;
}

void RunPlan::restore(int64_t planned_tokens, double elapsed_seconds) {
  if (by_time_alone()) planned_tokens_ = planned_tokens;
  next_observation_ = elapsed_seconds;
  measuring_ = false;
}

void RunPlan::observe(const TrainingClock& clock, double elapsed_seconds) {
  if (!by_time_alone()) return;
  if (!measuring_) {  // the first step of a session pays for cold caches and fresh memory
    measuring_ = true;
    measured_from_ = clock;
    measured_from_seconds_ = elapsed_seconds;
    next_observation_ = elapsed_seconds + 0.05 * config_.train.max_seconds;
    return;
  }
  if (elapsed_seconds < next_observation_) return;
  next_observation_ = elapsed_seconds + 0.05 * config_.train.max_seconds;
  if (planned_tokens_ > 0 && clock.tokens >= learning_rates().constant_until_tokens) return;

  const double speed = static_cast<double>(clock.tokens - measured_from_.tokens) /
                       (elapsed_seconds - measured_from_seconds_);
  const double left = std::max(0.0, config_.train.max_seconds - elapsed_seconds);
  const int64_t plan = clock.tokens + static_cast<int64_t>(speed * left);
  // Never so short that the constant part would already be over.
  const int64_t shortest = static_cast<int64_t>(std::ceil(static_cast<double>(clock.tokens) * 1.5));
  planned_tokens_ = std::max(plan, shortest);
}

bool RunPlan::finished(const TrainingClock& clock, double elapsed_seconds) const {
  const TrainConfig::Train& limits = config_.train;
  if (limits.steps > 0 && clock.steps >= limits.steps) return true;
  if (planned_tokens_ > 0 && clock.tokens >= planned_tokens_) return true;
  if (limits.max_seconds <= 0) return false;
  // A plan made from the measured speed may be late by a little, so that the schedule ends
  // properly.
  const double allowance = by_time_alone() && planned_tokens_ > 0 ? 1.25 : 1.0;
  return elapsed_seconds >= limits.max_seconds * allowance;
}

LearningRateSchedule RunPlan::learning_rates() const {
  constexpr int64_t kNotYet = int64_t{1} << 60;
  return learning_rate_schedule(config_, planned_tokens_ > 0 ? planned_tokens_ : kNotYet);
}

double RunPlan::fraction_done(const TrainingClock& clock, double elapsed_seconds) const {
  if (planned_tokens_ > 0) {
    return static_cast<double>(clock.tokens) / static_cast<double>(planned_tokens_);
  }
  return elapsed_seconds / std::max(1e-9, config_.train.max_seconds);
}

}  // namespace hadal
