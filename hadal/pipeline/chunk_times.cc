#include "hadal/pipeline/chunk_times.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"

namespace hadal {

LayerTimes operator*(double n_layers, const LayerTimes& layer) {
  return {n_layers * layer.forward, n_layers * layer.backward_input, n_layers * layer.weight,
          n_layers * layer.all_to_all_forward, n_layers * layer.all_to_all_backward};
}

double overlapped_pair(double compute, double communication, double efficiency) {
  return std::max(compute, communication) + (1 - efficiency) * std::min(compute, communication);
}

PipelineTimes chunk_times(const std::vector<LayerTimes>& stages, double overlap_efficiency) {
  require(!stages.empty(),
          {.field = "stages", .problem = "none", .found = "0", .expected = "1 or more"});
  require(overlap_efficiency >= 0 && overlap_efficiency <= 1, {.field = "overlap efficiency",
                                                               .problem = "out of range",
                                                               .found = overlap_efficiency,
                                                               .expected = "0 to 1"});
  PipelineTimes times;
  times.stages.clear();
  double apart = 0, paired = 0;
  for (const LayerTimes& stage : stages) {
    for (const double part : {stage.forward, stage.backward_input, stage.weight,
                              stage.all_to_all_forward, stage.all_to_all_backward}) {
      require(std::isfinite(part) && part >= 0, {.field = "layer times",
                                                 .problem = "not a time",
                                                 .found = part,
                                                 .expected = "a finite number, 0 or more"});
    }
    times.stages.push_back({stage.forward + stage.all_to_all_forward,
                            stage.backward_input + stage.all_to_all_backward, stage.weight});
    const double compute = stage.forward + stage.backward_input + stage.weight;
    const double communication = stage.all_to_all_forward + stage.all_to_all_backward;
    apart += compute + communication;
    paired += overlapped_pair(compute, communication, overlap_efficiency);
  }
  times.pair_share = apart > 0 ? paired / apart : 1;
  return times;
}

}  // namespace hadal
