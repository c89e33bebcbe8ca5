#include "hadal/train/parallel_settings.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "hadal/core/error.h"

namespace hadal {
namespace {

// How many ranks there are, of which each field of the layout takes its share.
int64_t data_ranks(const TrainConfig::Parallel& p, int started) {
  if (p.data > 0) return p.data;
  if (started == 0) return p.expert;
  require(started % p.pipeline == 0,
          {.field = "parallel.pipeline",
           .problem = "does not divide the ranks that were started",
           .found = p.pipeline,
           .expected = {"a divisor of ", started},
           .advice = "start another number of ranks, or change {parallel.pipeline}"});
  return started / p.pipeline;
}

// REQUIRES what validate_parallel accepted.
std::vector<int64_t> whole_numbers(const std::vector<double>& numbers) {
  std::vector<int64_t> whole;
  for (const double number : numbers) whole.push_back(static_cast<int64_t>(number));
  return whole;
}

void fit_layers_of_stages(const ParallelConfig& layout, const ModelConfig& shape) {
  const std::vector<int64_t>& layers = layout.layers_of_stages;
  require(std::ssize(layers) == stages_of(layout),
          {.field = "parallel.layers_of_stages",
           .problem = "one number for every stage",
           .found = {layers.size(), " numbers"},
           .expected = {stages_of(layout), " stages in the order of the layers"}});
  const int64_t sum = std::accumulate(layers.begin(), layers.end(), int64_t{0});
  require(sum == shape.n_layers, {.field = "parallel.layers_of_stages",
                                  .problem = "not the layers of the model",
                                  .found = {sum, " in all"},
                                  .expected = {shape.n_layers, " (MTP modules go with the head)"}});
}

void fit_shape(const ParallelConfig& layout, const ModelConfig& shape) {
  if (!layout.layers_of_stages.empty()) fit_layers_of_stages(layout, shape);
  require(stages_of(layout) == 1 || stages_of(layout) <= shape.n_layers ||
              !layout.layers_of_stages.empty(),
          {.field = "parallel.pipeline",
           .problem = "more stages than layers",
           .found = {stages_of(layout), " stages"},
           .expected = {"at most ", shape.n_layers},
           .advice =
               "lower {parallel.pipeline}, or give some no layer in {parallel.layers_of_stages}"});
  const int64_t n_experts = shape.router.n_routed_experts;
  require(layout.expert == 1 || (n_experts > 0 && n_experts % layout.expert == 0),
          {.field = "parallel.expert",
           .problem = "every rank holds the same number of experts",
           .found = layout.expert,
           .expected = {"a divisor of the model's ", n_experts, " routed experts"}});
}

// Sequences that a batch is a multiple of: whole micro-batches for every replica, DualPipe's in pairs.
int64_t batch_quantum(const TrainConfig& config, const ParallelConfig& layout) {
  const int64_t pair = layout.pipeline > 1 && layout.schedule == ScheduleKind::kDualPipe ? 2 : 1;
  return micro_batch_sequences(config) * layout.data * pair;
}

void fit_batch(const TrainConfig& config, const ParallelConfig& layout, const char* field,
               int64_t batch) {
  const int64_t quantum = batch_quantum(config, layout);
  require(batch % quantum == 0,
          {.field = field,
           .problem = "does not cut into equal micro-batches for all replicas",
           .found = batch,
           .expected = {"a multiple of ", quantum, " (micro-batches of ",
                        micro_batch_sequences(config), " sequences, ", layout.data, " replicas)"},
           .advice = "change it, {train.micro_batch_sequences} or {parallel.data}"});
  const int64_t n = replica_micro_batches(config, layout, batch);
  const int64_t least = least_micro_batches(layout.schedule, stages_of(layout));
  require(stages_of(layout) == 1 || n >= least,
          {.field = field,
           .problem = {"too few micro-batches for the schedule ", config.parallel.schedule},
           .found = {n, " a replica"},
           .expected = {"at least ", least},
           .advice = "raise it, lower {train.micro_batch_sequences}, or take another "
                     "{parallel.schedule}"});
}

void fit_batches(const TrainConfig& config, const ParallelConfig& layout) {
  fit_batch(config, layout, "train.batch_sequences", config.train.batch_sequences);
  const int64_t start = config.train.batch_ramp_start_sequences;
  if (start == 0) return;
  fit_batch(config, layout, "train.batch_ramp_start_sequences", start);
  require(batch_ramp(config).quantum == batch_quantum(config, layout),
          {.field = "parallel.data",
           .problem = "a batch that grows has to know its replicas",
           .found = config.parallel.data,
           .expected = layout.data,
           .advice = "set it"});
}

// What looks at one rank's tensors alone.
void refuse_what_one_rank_measures(const TrainConfig& config) {
  const std::pair<const char*, bool> settings[] = {
      {"log.layers_every_steps", config.log.layers_every_steps > 0},
      {"log.retiling", config.log.retiling},
      {"stability.older_router_steps", config.stability.older_router_steps > 0},
  };
  for (const auto& [name, on] : settings) {
    require(!on, {.field = name,
                  .problem = "needs a run on one rank",
                  .advice = "leave it out, or train on one"});
  }
}

}  // namespace

void add_parallel_settings(std::vector<Setting>& table, TrainConfig::Parallel& p) {
  const std::vector<Setting> own = {
      {"parallel.pipeline", &p.pipeline, "ranks that a model's layers are spread over", 1, 1024},
      {"parallel.data", &p.data, "replicas; 0: what the ranks that were started leave", 0, 32767},
      {"parallel.expert", &p.expert, "replicas that share one set of experts, each a part of it", 1,
       32767},
      {.name = "parallel.schedule",
       .target = &p.schedule,
       .help = "of the pipeline; hadal pipeline compares them",
       .choices = schedule_names()},
      {"parallel.stages_per_rank", &p.stages_per_rank, "of the schedule interleaved", 1, 64},
      {.name = "parallel.layers_of_stages",
       .target = &p.layers_of_stages,
       .help = "layers of each stage, in order, such as [3, 4, 4, 1]; empty: as even as they go"},
      {"parallel.overlap", &p.overlap,
       "the two chunks of an F&B take turns; false: one after the other, to see what that hides"},
      {.name = "parallel.dispatch",
       .target = &p.dispatch,
       .help = "tokens on their way to experts; compute: as the experts' products round them",
       .choices = {"compute", "f32", "bf16", "fp8"}},
      {.name = "parallel.combine",
       .target = &p.combine,
       .help = "what experts send back; f32 gives the sums of one rank bit for bit",
       .choices = {"f32", "bf16"}},
      {.name = "parallel.route",
       .target = &p.route,
       .help =
           "to experts on other hosts: flat, straight to every rank; nodes, once to every host and "
           "handed on there; auto: nodes where every host has equally many ranks of a group",
       .choices = {"auto", "flat", "nodes"}},
      {"parallel.wait_seconds", &p.wait_seconds,
       "how long a rank waits for another before the run ends", 1, 1e7},
      {.name = "parallel.trace",
       .target = &p.trace,
       .help = "file for what all ranks did and when, to be shown by hadal pipeline"},
      {"parallel.trace_first", &p.trace_first, "the first step in it", 1, 1'000'000'000},
      {"parallel.trace_steps", &p.trace_steps,
       "steps in it; every second one runs without overlap, for comparison", 1, 1000},
      {"parallel.link_latency_ms", &p.link_latency_ms,
       "holds messages back as a slower network would, to see what is hidden; ranks of one host", 0,
       1e6},
      {"parallel.link_mb_per_second", &p.link_mb_per_second,
       "the same by bytes, one message after the other; 0: no limit", 0, 1e9},
  };
  table.insert(table.end(), own.begin(), own.end());
}

void validate_parallel(const TrainConfig& config) {
  const TrainConfig::Parallel& p = config.parallel;
  require(p.data == 0 || p.data % p.expert == 0,
          {.field = "parallel.expert",
           .problem = "experts are spread over whole groups of replicas",
           .found = p.expert,
           .expected = {"a divisor of {parallel.data}, which is ", p.data}});
  for (const double number : p.layers_of_stages) {
    require(number >= 0 && number <= 1e6 && number == std::floor(number),
            {.field = "parallel.layers_of_stages",
             .problem = "a stage has whole layers",
             .found = number,
             .expected = "0, 1, 2, ..."});
  }
  if (p.schedule == "dualpipe") {
    require(p.pipeline == 1 || p.pipeline % 2 == 0,
            {.field = "parallel.pipeline",
             .problem = "dualpipe needs an even number of ranks",
             .found = p.pipeline,
             .expected = "an even number"});
  }
}

ParallelConfig parallel_layout(const TrainConfig& config, const ModelConfig& shape, int started) {
  const TrainConfig::Parallel& p = config.parallel;
  const int64_t data = data_ranks(p, started);
  ParallelConfig layout;
  layout.pipeline = static_cast<int32_t>(p.pipeline);
  layout.data = static_cast<int32_t>(data);
  layout.expert = static_cast<int32_t>(p.expert);
  layout.schedule = parse_schedule_kind(p.schedule);
  layout.stages_per_rank = static_cast<int32_t>(p.stages_per_rank);
  layout.layers_of_stages = whole_numbers(p.layers_of_stages);
  require(started == 0 || layout.n_ranks() == started,
          {.field = "parallel.data",
           .problem = "the layout does not fit the ranks that were started",
           .found = {"pipeline ", p.pipeline, " x data ", data, " = ", layout.n_ranks()},
           .expected = started,
           .advice = "start that many, or set {parallel.data} to 0: what is left"});
  require(layout.n_ranks() <= kMaxRanks, {.field = "parallel.data",
                                          .problem = "too many ranks",
                                          .found = layout.n_ranks(),
                                          .expected = {"at most ", kMaxRanks}});
  require(data % p.expert == 0, {.field = "parallel.expert",
                                 .problem = "experts are spread over whole groups of replicas",
                                 .found = p.expert,
                                 .expected = {"a divisor of the ", data, " replicas"}});
  fit_shape(layout, shape);
  if (layout.n_ranks() > 1 || stages_of(layout) > 1) {
    fit_batches(config, layout);
    refuse_what_one_rank_measures(config);
  }
  return layout;
}

SlowLink slow_link(const TrainConfig::Parallel& p) {
  return {.latency_seconds = p.link_latency_ms / 1e3,
          .bytes_per_second = p.link_mb_per_second * 1e6};
}

int64_t stages_of(const ParallelConfig& layout) {
  return int64_t{layout.pipeline} * stages_passed(layout.schedule, layout.stages_per_rank);
}

std::vector<StageCut> stage_cuts(const ParallelConfig& layout, const ModelConfig& shape) {
  return layout.layers_of_stages.empty() ? even_cuts(shape, stages_of(layout))
                                         : cuts_of(layout.layers_of_stages);
}

bool goes_by_nodes(const std::string& route, const std::vector<int>& node_of) {
  if (route != "auto") return route == "nodes";
  std::map<int, int> ranks_of;
  for (const int node : node_of) ++ranks_of[node];
  const int n = ranks_of.begin()->second;
  return ranks_of.size() > 1 && n > 1 &&
         std::ranges::all_of(ranks_of, [n](const auto& each) { return each.second == n; });
}

ExpertExchange expert_exchange(const TrainConfig& config, std::vector<int> node_of) {
  const bool by_nodes = goes_by_nodes(config.parallel.route, node_of);
  return {.dispatch = dispatch_form(config.parallel.dispatch),
          .combine = combine_form(config.parallel.combine),
          .node_of = std::move(node_of),
          .hierarchical = by_nodes};
}

int64_t replica_micro_batches(const TrainConfig& config, const ParallelConfig& layout,
                              int64_t n_sequences) {
  return n_sequences / (micro_batch_sequences(config) * layout.data);
}

}  // namespace hadal
