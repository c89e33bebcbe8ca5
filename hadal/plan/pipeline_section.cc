// The step's pipeline, simulated: stages with as many layers as they really have, the head on the
// last one, transfers beside computation.
#include "hadal/pipeline/simulator.h"
#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

const std::vector<std::string>& inputs() {
  static const std::vector<std::string> names = {"pp",
                                                 "schedule",
                                                 "interleaved_stages",
                                                 "micro_batches",
                                                 "n_layers",
                                                 "head_in_layers",
                                                 "forward_seconds",
                                                 "backward_input_seconds",
                                                 "weight_seconds",
                                                 "pair_seconds",
                                                 "pipeline_bytes",
                                                 "nic_bandwidth"};
  return names;
}

struct PipelineResult {
  double makespan = 0, busy = 0;
};

PipelineResult simulate_pipeline(const Worksheet& sheet) {
  const StagePlacement placement = stage_placement(sheet);
  const int64_t pp = placement.n_stages;
  const int64_t count = whole_cell(sheet, "micro_batches", 1, 1 << 24);
  const int64_t n_layers = whole_cell(sheet, "n_layers", 1, 1 << 20);
  const double head = sheet.value("head_in_layers");
  const double mean_weight = (static_cast<double>(n_layers) + head) / static_cast<double>(pp);
  const double forward = sheet.value("forward_seconds");
  const double backward_input = sheet.value("backward_input_seconds");
  const double weight = sheet.value("weight_seconds");
  PipelineTimes times;
  times.stages.clear();
  for (const int64_t n : layers_of_stages(n_layers, pp, head)) {
    const bool last = static_cast<int64_t>(times.stages.size()) == pp - 1;
    const double share = (static_cast<double>(n) + (last ? head : 0)) / mean_weight;
    times.stages.push_back({share * forward, share * backward_input, share * weight});
  }
  times.pair_share = sheet.value("pair_seconds") / (forward + backward_input + weight);
  times.bytes = sheet.value("pipeline_bytes");
  times.bandwidth = {sheet.value("nic_bandwidth")};
  const Simulation simulation =
      simulate(make_schedule(placement.schedule, placement.n_stages, static_cast<int32_t>(count),
                             placement.stages_per_rank),
               times);
  PipelineResult result;
  result.makespan = simulation.makespan;
  for (const RankTimes& rank : simulation.ranks) {
    result.busy += rank.busy / static_cast<double>(simulation.ranks.size());
  }
  return result;
}

// Makespan and busy time come from one simulation: the last one is kept, with what it read.
class LastPipeline {
 public:
  PipelineResult of(const Worksheet& sheet) {
    std::vector<double> values;
    for (const std::string& name : inputs()) values.push_back(sheet.value(name));
    if (values != values_) {
      result_ = simulate_pipeline(sheet);
      values_ = std::move(values);
    }
    return result_;
  }

 private:
  std::vector<double> values_;
  PipelineResult result_;
};

}  // namespace

void add_pipeline(Worksheet& sheet) {
  sheet.section("pipeline", "Pipeline (simulated)");
  sheet.formula("head_in_layers",
                "6 * vocab_size * d_model * n_layers"
                " / (flops_per_token - 6 * vocab_size * d_model)",
                "", "the head's work, counted in decoder layers");
  const auto last = std::make_shared<LastPipeline>();
  sheet.computed(
      "pipeline_makespan", inputs(), [last](const Worksheet& s) { return last->of(s).makespan; },
      "s", "from the first F to the last W, pipeline/simulator");
  sheet.computed(
      "busy_seconds", inputs(), [last](const Worksheet& s) { return last->of(s).busy; }, "s",
      "computing, the mean over ranks");
  sheet.formula("bubble_seconds", "pipeline_makespan - busy_seconds", "s",
                "idle: warm-up, cool-down, uneven stages, transfers");
  sheet.formula("bubble_share", "bubble_seconds / pipeline_makespan", "fraction",
                "of the pipeline's time");
}

}  // namespace hadal
