// train/stability.h: what a run does about a step that goes wrong: a loss or gradient norm far above
// those of the steps before it, or one that is not finite ([stability]; docs/training.md).
//
//   threshold = median + factor * max(1.4826 MAD, 0.01 |median|)
//
// over the last `window` updates, MAD the median of |value - median|: 1.4826 MAD is a normal
// distribution's standard deviation, and a few spikes in the window move neither median. The hundredth
// keeps a window of nearly equal values from calling a rounding a spike. Looked for once the window is
// full. Decided when the gradients are there and before the update; all of it follows from losses and
// norms, never from time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/train/config.h"
#include "hadal/train/train_step.h"

namespace hadal {

// Above it a value is a spike; none for a window that is not full, or factor 0.
std::optional<double> spike_threshold(const std::vector<double>& values, int64_t window,
                                      double factor);

struct Trouble {
  std::string kind;  // loss_spike, gradient_spike, loss_not_finite, gradient_not_finite
  double value = 0.0;
  std::optional<double> threshold;  // of a spike
  std::string where;                // the layer or parameter that is not finite
  std::string text;  // "the loss of step 7 is a spike (found 9.1, expected at most 5.2)"
};

enum class Remedy { kReport, kStop, kSkip, kRollback };
std::string remedy_name(Remedy remedy);

// What a checkpoint remembers, so that a resumed run decides as one that was never interrupted.
struct StabilityState {
  std::vector<double> losses, gradient_norms;  // of the last updates of the phase, oldest first
  int64_t skipped = 0, rollbacks = 0;
  int64_t in_a_row = 0;      // skips and rollbacks since the run last got past all trouble
  int64_t last_trouble = 0;  // the highest step that was skipped or rolled back
  int64_t n_events = 0;      // lines of stability.jsonl, those of stops not counted
  int64_t last_spike = 0;    // the step
};
Json stability_json(const StabilityState& state);
StabilityState stability_from(const Json& json);

class StabilityWatch {
 public:
  explicit StabilityWatch(const TrainConfig::Stability& settings) : settings_(settings) {}

  // Whether anything but the default is asked for: then checkpoints remember the state.
  bool on() const { return settings_.on_spike != "none" || settings_.on_not_finite != "stop"; }
  bool rolls_back() const {
    return settings_.on_spike == "rollback" || settings_.on_not_finite == "rollback";
  }

  std::optional<Trouble> find_trouble(const StepReport& report, int64_t step) const;
  // A stop in place of one more skip or rollback in a row than allowed.
  Remedy remedy(const Trouble& trouble) const;
  // The one line that ends a run.
  std::string last_words(const Trouble& trouble) const;

  void took(const StepReport& report, int64_t step);              // the update was made
  void met(const Trouble& trouble, Remedy remedy, int64_t step);  // counts it
  void begin_phase();  // other text and batches: the window says nothing about them
  // The window of a checkpoint, the counts of now.
  void go_back(const StabilityState& then);

  // As metrics.jsonl names them: what the next step is held against, and what has been done so far.
  Json thresholds() const;
  Json counts() const;
  const StabilityState& state() const { return state_; }
  void restore(const StabilityState& state) { state_ = state; }

 private:
  TrainConfig::Stability settings_;
  StabilityState state_;
};

// Where the present row of steps began: a checkpoint of this step, and the text from there on, which
// after a rollback is not the checkpoint's own.
struct StepsSince {
  int64_t step = 0;
  Json data_position;
};
// {step, kind, value, threshold, where, action, data_position (of the step's batch), since}; null where
// there is none. With the events before it, what it takes to come to this step again.
Json trouble_record(const Trouble& trouble, Remedy remedy, int64_t step, const Json& position,
                    const StepsSince& since);

// RUN/stability.jsonl: one line for every event, whole on the disk before the run goes on.
class StabilityEvents {
 public:
  // Goes on behind the first n_events lines; later ones are of a run that was cut off and will come
  // again. Stops are kept, they end a run and are in no checkpoint.
  StabilityEvents(const std::string& run_folder, int64_t n_events);
  void write(const Json& event);

 private:
  std::string path_, text_;
};

}  // namespace hadal
