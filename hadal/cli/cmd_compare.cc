// cli/cmd_compare.cc: `hadal compare`
#include <cmath>

#include "hadal/cli/activations_flag.h"
#include "hadal/cli/commands.h"
#include "hadal/cli/sampling_flags.h"
#include "hadal/core/log.h"
#include "hadal/infer/compare.h"

namespace hadal::cli {
namespace {

struct CompareCommand {
  ActivationsFlag activations;
  std::string model, other, file, encoding;
  int64_t window = 0, stride = 0;
};

void bind(Flags& flags, CompareCommand& o) {
  flags.library_names({{"token_ids", "--file"}, {"other", "OTHER"}});
  flags.example("hadal compare DeepSeek-V2-Lite V2-Lite-q4 --file chapter.txt",
                "what four bits cost: perplexity of both, and how far apart they are");
  flags.example("hadal compare DIR DIR --activations bf16 --file chapter.txt",
                "what rounded activations cost: OTHER alone has them");
  flags.positional("MODEL", o.model, "model folder; its tokenizer reads the text");
  flags.positional("OTHER", o.other, "folder of a model with the same vocabulary");
  flags.required("file,-f", o.file, "text to read; - reads standard input");
  flags.option("encoding", o.encoding, "of the file: latin-1, cp1252 (default: UTF-8)");
  flags.option("window", o.window,
               "tokens read together; 0: as many as both models have positions");
  flags.option("stride", o.stride, "tokens from one window to the next; 0: half a window");
  o.activations.bind(flags);
}

int run(const CompareCommand& o, const CommonOptions& common, Output& out) {
  TextModel m(o.model, common.threads, common.chosen_device(), /*with_mtp=*/false);
  DeepseekV3 other = load_model(m.ctx, o.other, {.dtype = LoadAs::kAsStored, .with_mtp = false});
  o.activations.apply(other);
  const Tokenizer& tokenizer = m.need_tokenizer();
  std::vector<int32_t> ids =
      tokenizer.encode_parallel(read_text_argument(o.file, o.encoding), m.pool);
  put_bos_first(tokenizer, ids);
  require(ids.size() > 1, {.field = o.file,
                           .problem = "nothing to score",
                           .found = {ids.size(), " tokens"},
                           .expected = "2 or more"});
  ProgressLine progress;
  ScoreOptions options{.window = o.window, .stride = o.stride};
  options.on_progress = [&](double fraction) {
    if (progress.due()) progress.show(concat("comparing ", progress_bar(fraction, 24)));
  };
  for (DeepseekV3* each : {&m.model, &other}) {
    each->ensure_rope(m.arena, std::min(std::ssize(ids), each->config.max_position_embeddings));
  }
  const Comparison found = compare_models(m.ctx, m.model, other, ids, options);
  const auto n = static_cast<double>(found.n_tokens);
  Json report;
  report["n_tokens"] = found.n_tokens;
  report["perplexity"] = std::exp(found.nats / n);
  report["perplexity_other"] = std::exp(found.other_nats / n);
  report["mean_kl"] = found.mean_kl;
  report["kl_99_percent"] = found.kl_99_percent;
  report["largest_kl"] = found.largest_kl;
  report["same_choice"] = found.same_choice;
  out.report(report);
  return 0;
}

}  // namespace

Command make_compare_command() {
  return define_command<CompareCommand>(
      "compare", "perplexity of two models on a text, and how far apart their predictions are",
      bind, run);
}

}  // namespace hadal::cli
