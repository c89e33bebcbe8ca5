// cli/cmd_plan_scaling.cc: `hadal plan scaling`
#include <cmath>

#include "hadal/cli/commands.h"
#include "hadal/cli/plan_options.h"
#include "hadal/cli/plan_outputs.h"
#include "hadal/cli/sweep_axis.h"
#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/plan/scaling.h"

namespace hadal::cli {
namespace {

constexpr int64_t kMostGpus = 1 << 20;  // far beyond what one network connects

struct ScalingOptions {
  PlanOptions plan;
  std::string gpus = "256:16384:x2";
  bool weak = false;
  TableFiles files;
};

void bind(Flags& flags, ScalingOptions& o) {
  flags.library_names({{"cells", "--cells"}});  // of hadal plan
  flags.example("hadal plan scaling --gpus 256:16384:x2 --svg strong.svg",
                "the published batch on more and more GPUs, each with its fastest layout");
  flags.example("hadal plan scaling --weak --layout pp=16,ep=64 --csv weak.csv",
                "the published layout with more replicas and a batch that grows with them");
  bind_plan_options(flags, o.plan);
  flags.option("gpus", o.gpus, "1024,2048 or FROM:TO:COUNT or FROM:TO:x2");
  flags.flag("weak", o.weak,
             "let the batch grow with the GPUs; at --cluster's size it is the recipe's");
  bind_table_files(flags, o.files);
}

std::vector<int64_t> gpu_counts(const std::string& text) {
  std::vector<int64_t> counts;
  for (const double value : parse_sweep_axis("gpus=" + text, "--gpus").values) {
    require(value >= 1 && value <= static_cast<double>(kMostGpus) && value == std::floor(value),
            {.field = "--gpus",
             .problem = "no number of GPUs",
             .found = value,
             .expected = {"a whole number up to ", kMostGpus}});
    counts.push_back(static_cast<int64_t>(value));
  }
  return counts;
}

int run(const ScalingOptions& o, const CommonOptions&, Output& out) {
  const ScalingRequest request{
      .base = plan_request(o.plan), .gpus = gpu_counts(o.gpus), .weak = o.weak};
  ScalingStudy study;
  {
    ProgressLine progress;
    study = study_scaling(request, [&](int64_t gpus) {
      if (progress.due()) progress.show(concat("plan scaling: ", gpus, " GPUs"));
    });
  }
  return print_table(study.table, scaling_chart(request, study), study.layouts, o.files, out);
}

}  // namespace

Command make_plan_scaling_command() {
  return define_command<ScalingOptions>("plan scaling", "plan a training run on more and more GPUs",
                                        bind, run);
}

}  // namespace hadal::cli
