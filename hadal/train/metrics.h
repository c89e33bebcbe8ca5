// train/metrics.h: what training tells about itself: one JSON line per event in metrics.jsonl, and
// the scalars among it in a TensorBoard event file.
//
//   {"ts":"2026-01-31T12:00:00Z","run":"nano","step":7,"tokens":14336,"split":"train",
//    "train/loss":5.1,"train/grad_norm":0.8,...,"moe/load":[[],[131,...],...]}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/io/append_file.h"
#include "hadal/train/event_file.h"

namespace hadal {

class Metrics {
 public:
  // Goes on after `step` (0: a new file): later lines, from a run that was cut off, are dropped.
  Metrics(const std::string& run_folder, const std::string& run_name, int64_t step,
          bool tensorboard);

  // `values`: an object; its numbers also become TensorBoard scalars.
  void write(int64_t step, int64_t tokens, const std::string& split, const Json& values);
  void sync();  // a checkpoint of this step may say that all of it is on the disk

 private:
  std::string run_name_;
  std::optional<AppendFile> file_;
  std::optional<EventFile> events_;
};

// The lines of a metrics.jsonl up to and including `last_step`; a cut-off last line is left out.
std::vector<Json> read_metrics(const std::string& run_folder, int64_t last_step);

}  // namespace hadal
