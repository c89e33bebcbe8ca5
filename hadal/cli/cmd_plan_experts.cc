// cli/cmd_plan_experts.cc: `hadal plan experts`
#include <filesystem>

#include "hadal/cli/commands.h"
#include "hadal/core/error.h"
#include "hadal/io/atomic_write.h"
#include "hadal/model/checkpoint.h"
#include "hadal/plan/expert_plan.h"
#include "hadal/plan_text/expert_plan_text.h"
#include "hadal/train/run_load.h"

namespace hadal::cli {
namespace {

struct PlanExpertsOptions {
  std::string load, judge, model, policy = "auto", out, svg;
  std::optional<double> zipf;
  std::optional<int64_t> layers, experts, groups;
  int64_t last = 10, skip = 0;
  ExpertPlanOptions plan;
};

void bind(Flags& flags, PlanExpertsOptions& o) {
  flags.library_names({{"n_layers", "--layers"},
                       {"n_experts", "--experts"},
                       {"exponent", "--zipf"},
                       {"n_gpus", "--gpus"},
                       {"n_nodes", "--nodes"},
                       {"n_groups", "--groups"},
                       {"n_replicas", "--replicas"},
                       {"n_redundant", "--redundant"},
                       {"n_records", "--last"},
                       {"n_skipped", "--skip"}});
  flags.example("hadal plan experts --zipf 0.5 --svg experts.svg",
                "DeepSeek-V3's 256 experts on 32 GPUs (prefill), a made-up load");
  flags.example("hadal plan experts --zipf 0.5 --gpus 144", "the same on the 144 GPUs of decoding");
  flags.example("hadal plan experts --load runs/first --gpus 4 --redundant 4",
                "from the load that a training run recorded");
  flags.example("hadal plan experts --load loads.json --groups 8 --gpus 32 --out placement.json",
                "from a list of loads per layer");
  flags.example("hadal plan experts --load runs/first --last 5 --skip 5 --judge runs/first",
                "placed by five records of a run, judged on the five after them");
  flags.option("load", o.load,
               "folder of a run, or JSON: [[load of each expert], ...], a list per layer");
  flags.option("last", o.last, "of a run: how many of the last records of moe/load to average");
  flags.option("skip", o.skip,
               "of a run: how many of its last records the placement must not know");
  flags.option("judge", o.judge,
               "loads of another time, as --load (of a run without --skip): all figures are about "
               "them");
  flags.option("zipf", o.zipf,
               "no file: the k-th busiest expert has a load of k^-X, in random order per layer");
  flags.option("layers", o.layers, "with --zipf: layers with experts (default: the model's)");
  flags.option("experts", o.experts, "with --zipf: experts per layer (default: the model's)");
  flags.option("model", o.model,
               "preset, folder or config.json for groups, experts and layers (default: the run's "
               "own; with --zipf deepseek-v3)");
  flags.option("groups", o.groups, "router groups of experts (default: the model's n_group, or 1)");
  flags.option("gpus", o.plan.n_gpus, "GPUs in all (default: one for 8 experts)");
  flags.option("nodes", o.plan.n_nodes, "nodes they stand in (default: one for 8 GPUs)");
  flags.option("redundant", o.plan.n_redundant,
               "extra replicas per layer (default: an eighth of the experts, or what fills the "
               "GPUs evenly)");
  flags.option("replicas", o.plan.n_replicas, "experts and extra replicas together");
  flags.choice("policy", o.policy, {"auto", "hierarchical", "global"},
               "hierarchical keeps a group's experts on one node; auto: where groups are a "
               "multiple of nodes");
  flags.flag("as-published", o.plan.as_published,
             "the published balancer alone, even where no redundancy would be balanced better");
  flags.option("out,-o", o.out, "write the plan (what --json prints) to this file");
  flags.option("svg", o.svg, "draw every GPU's load before and after to this file");
}

bool is_run(const std::string& path) {
  return std::filesystem::is_directory(path) ||
         std::filesystem::path(path).filename() == "metrics.jsonl";
}

std::string run_folder(const std::string& path) {
  if (std::filesystem::is_directory(path)) return path;
  const std::string parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

// The model whose groups, experts and layers count; none for a plain list of loads.
std::optional<ModelConfig> model_of(const PlanExpertsOptions& o) {
  if (!o.model.empty()) return load_config(o.model);
  if (o.load.empty()) return find_preset("deepseek-v3").config;
  if (!is_run(o.load)) return std::nullopt;
  const std::string saved = run_folder(o.load) + "/latest";
  if (!std::filesystem::exists(saved)) return std::nullopt;
  return load_config(saved);
}

LayerLoads zipf_loads(const PlanExpertsOptions& o, const ModelConfig& model, uint64_t seed) {
  require(o.experts || model.router.n_routed_experts > 0,
          {.field = "--model",
           .problem = "has no routed experts",
           .found = {model.model_type, " without any"},
           .advice = "give another"});
  int64_t n_moe = 0;
  for (int64_t layer = 0; layer < model.n_layers; ++layer) n_moe += model.is_moe(layer) ? 1 : 0;
  LayerLoads loads = zipf_layer_loads(
      o.layers.value_or(n_moe), o.experts.value_or(model.router.n_routed_experts), *o.zipf, seed);
  // Layers of the model keep their own numbers.
  if (!o.layers) {
    size_t row = 0;
    for (int64_t layer = 0; layer < model.n_layers; ++layer) {
      if (model.is_moe(layer)) loads.layers[row++] = layer;
    }
  }
  return loads;
}

LayerLoads recorded_loads(const std::string& path, int64_t last, int64_t skip) {
  if (!is_run(path)) return read_layer_loads(path);
  const RunLoad run = read_run_load(run_folder(path), last, skip);
  return number_layers(run.rows, concat(path, ", mean of ", run.n_records, " records, steps ",
                                        run.first_step, " to ", run.last_step));
}

LayerLoads loads_of(const PlanExpertsOptions& o, const std::optional<ModelConfig>& model,
                    uint64_t seed) {
  require(o.load.empty() != !o.zipf.has_value(),
          {.field = "--load",
           .problem = "which load?",
           .found = o.zipf ? "it and --zipf" : "neither it nor --zipf",
           .expected = "one",
           .advice = "give a file, a run's folder, or --zipf 0.5 to try without"});
  if (o.zipf) return zipf_loads(o, *model, seed);
  require(!o.layers && !o.experts, {.field = o.layers ? "--layers" : "--experts",
                                    .problem = "only with --zipf",
                                    .found = "--load, which has its own",
                                    .advice = "leave it out"});
  return recorded_loads(o.load, o.last, o.skip);
}

int run(const PlanExpertsOptions& o, const CommonOptions& common, Output& out) {
  const std::optional<ModelConfig> model = model_of(o);
  ExpertPlanOptions options = o.plan;
  options.policy = o.policy == "hierarchical" ? PlacementPolicy::kHierarchical
                   : o.policy == "global"     ? PlacementPolicy::kGlobal
                                              : PlacementPolicy::kAuto;
  options.n_groups = o.groups.value_or(model ? model->router.n_group : 1);
  LayerLoads loads = loads_of(o, model, common.seed);
  const auto n_experts = static_cast<int64_t>(loads.load.front().size());
  std::optional<LayerLoads> judged;
  if (!o.judge.empty()) judged = recorded_loads(o.judge, o.last, 0);
  const ExpertPlan plan =
      plan_experts(std::move(loads), placement_shape(options, n_experts), std::move(judged));
  const Json document = expert_plan_json(plan);
  if (!o.svg.empty()) write_file_atomically(o.svg, load_maps_svg(expert_load_maps(plan)));
  if (!o.out.empty()) write_file_atomically(o.out, document.dump() + "\n");
  if (out.json()) {
    out.report(document);
  } else {
    out.text(expert_plan_text(plan));
  }
  return 0;
}

}  // namespace

Command make_plan_experts_command() {
  return define_command<PlanExpertsOptions>(
      "plan experts", "place experts and their copies on GPUs by measured load", bind, run);
}

}  // namespace hadal::cli
