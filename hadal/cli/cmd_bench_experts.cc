// cli/cmd_bench_experts.cc: `hadal bench experts`
#include "hadal/cli/commands.h"
#include "hadal/cli/print_report.h"
#include "hadal/measure/measure_moves.h"
#include "hadal/model/memory_needs.h"

namespace hadal::cli {
namespace {

struct ExpertsBench {
  std::string preset = "small", copies = "shares";
  MeasureMovesOptions measure;
};

void bind(Flags& flags, ExpertsBench& o) {
  flags.library_names({{"ranks", "--ranks"},
                       {"slots", "--slots"},
                       {"every", "--every"},
                       {"batch", "--batch"},
                       {"rounds", "--rounds"},
                       {"decode_tokens", "--decode-tokens"},
                       {"preset", "--preset"}});
  flags.example("hadal bench experts --ranks 2 --slots 34",
                "two ranks under a skewed load, before and after busy experts got copies");
  flags.option("preset", o.preset, "a built-in shape, with random F32 weights");
  flags.option("ranks", o.measure.n_ranks, "threads of this process that share the experts");
  flags.option("slots", o.measure.n_slots,
               "of a layer on all ranks; 0: one more on each than for experts in order");
  flags.option("skew", o.measure.skew,
               "how much more the routers like the first expert than the last");
  flags.option("batch", o.measure.batch, "sequences that write on each rank");
  flags.option("decode-tokens", o.measure.decode_tokens, "tokens of each");
  flags.option("every", o.measure.every_passes, "passes between two looks at the load");
  flags.choice("copies", o.copies, {"shares", "program"},
               "copies take equal shares, or what a min-max program says before every dispatch");
  flags.option("rounds", o.measure.rounds, "rounds with experts in order and with moves, in turn");
}

int run(const ExpertsBench& o, const CommonOptions& common, Output& out) {
  MeasureMovesOptions options = o.measure;
  options.model = find_preset(o.preset).config;
  options.copies = o.copies == "program" ? CopyChoice::kProgram : CopyChoice::kShares;
  options.seed = common.seed_given ? common.seed : options.seed;
  require_memory(options.model, o.preset,
                 f32_bytes(options.model) * std::max<int64_t>(1, options.n_ranks),
                 HeldBecause::kRandom, available_memory());
  return print_report(measure_moves(options), out);
}

}  // namespace

Command make_bench_experts_command() {
  return define_command<ExpertsBench>(
      "bench experts", "measure serving on ranks while busy experts get copies", bind, run);
}

}  // namespace hadal::cli
