// cli/cmd_bench_ranks.cc: `hadal bench ranks`
#include "hadal/cli/cache_flags.h"
#include "hadal/cli/commands.h"
#include "hadal/cli/print_report.h"
#include "hadal/measure/measure_ranks.h"

namespace hadal::cli {
namespace {

struct RanksBench {
  ActivationsFlag activations;
  std::string model;
  CacheFlags cache;
  int64_t ranks = 1, prefill_ranks = 0, redundant_experts = 0, every_passes = 256;
  MeasureRanksOptions measure;
};

void bind(Flags& flags, RanksBench& o) {
  flags.library_names({{"ranks", "--ranks"},
                       {"prefill_ranks", "--prefill-ranks"},
                       {"redundant_experts", "--redundant-experts"},
                       {"max_tokens", "--decode-tokens"},
                       {"draft_tokens", "--speculate"},
                       {"max_running", "--running"}});
  flags.example("hadal bench ranks --model DIR --ranks 2 --prefill-ranks 1",
                "one thread reads prompts, another writes: how long do tokens take?");
  flags.example("mpirun -n 4 hadal bench ranks --model DIR --requests 16",
                "16 requests on four processes that share the model's experts");
  flags.required("model,-m", o.model, "model folder");
  flags.option("ranks", o.ranks, "threads that share the experts; under mpirun: its processes");
  flags.option("prefill-ranks", o.prefill_ranks,
               "of them, so many that only read prompts; 0: each does both");
  flags.option("redundant-experts", o.redundant_experts,
               "copies that busy experts of a layer get, by the loads; 0: experts stay");
  flags.option("every", o.every_passes, "passes between two looks at the loads");
  flags.option("requests", o.measure.requests, "requests, all there from the start");
  flags.option("prompt-tokens", o.measure.prompt_tokens, "of each");
  flags.option("decode-tokens", o.measure.decode_tokens, "of each");
  flags.option("speculate", o.measure.draft_tokens, "tokens that MTP drafts per step; 0: none");
  flags.option("running", o.measure.max_running, "requests of one rank at the same time");
  o.cache.bind_dtype(flags);
  o.activations.bind(flags);
}

int run(const RanksBench& o, const CommonOptions& common, Output& out) {
  MeasureRanksOptions options = o.measure;
  options.cache = o.cache.form();
  if (common.seed_given) options.seed = common.seed;
  const LaunchedModel model{.path = o.model,
                            .n_threads = common.threads,
                            .device = common.chosen_device(),
                            .with_mtp = options.draft_tokens > 0,
                            .prefill_ranks = static_cast<int>(o.prefill_ranks),
                            .redundant_experts = o.redundant_experts,
                            .passes_between_looks = o.every_passes,
                            .thread_ranks = static_cast<int>(o.ranks)};
  run_launched_model(model, [&](SpreadRank& rank) {
    o.activations.apply(rank.text.model);
    const MeasureReport report = measure_ranks(rank, options);
    if (rank.leads()) print_report(report, out);
  });
  return 0;
}

}  // namespace

Command make_bench_ranks_command() {
  return define_command<RanksBench>("bench ranks",
                                    "measure many requests on ranks that share a model", bind, run);
}

}  // namespace hadal::cli
