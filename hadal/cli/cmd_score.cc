// cli/cmd_score.cc: `hadal score`
#include <cmath>

#include "hadal/cli/activations_flag.h"
#include "hadal/cli/cache_flags.h"
#include "hadal/cli/commands.h"
#include "hadal/cli/sampling_flags.h"
#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/infer/score.h"
#include "hadal/spread/launched_model.h"

namespace hadal::cli {
namespace {

struct ScoreCommand {
  ActivationsFlag activations;
  std::string model, text, file, encoding;
  int64_t window = 0, stride = 0;
  CacheFlags cache;
};

void bind(Flags& flags, ScoreCommand& o) {
  o.cache.dtype = "f32";  // the model itself is scored, unless told otherwise
  flags.library_names({{"token_ids", "--text"}});
  flags.example("hadal score --model runs/nano --file chapter.txt",
                "bits per byte and perplexity of a text");
  flags.example("hadal score --model runs/nano --text \"to be or not to be\" --json",
                "the log-probability of every token");
  flags.required("model,-m", o.model, "model folder");
  flags.option("text", o.text, "text to score");
  flags.option("file,-f", o.file, "file to score; - reads standard input");
  flags.option("encoding", o.encoding, "of the file: latin-1, cp1252 (default: UTF-8)");
  flags.option("window", o.window,
               "tokens read together; 0: as many as the model has positions. A longer text is read "
               "in overlapping windows");
  flags.option("stride", o.stride,
               "tokens from one window to the next, each with at least window - stride tokens of "
               "context; 0: half a window");
  o.activations.bind(flags);
  o.cache.bind_dtype(flags);
}

struct Summary {
  double nats = 0.0;
  int64_t n_tokens = 0, n_bytes = 0;
};

void score(const ScoreCommand& o, const Flags& flags, SpreadRank& rank, Output& out) {
  TextModel& m = rank.text;
  const Tokenizer& tokenizer = m.need_tokenizer();
  const std::string text = flags.given("text") ? o.text : read_text_argument(o.file, o.encoding);
  std::vector<int32_t> ids = tokenizer.encode_parallel(text, m.pool);
  require(!ids.empty(), {.field = flags.given("text") ? "--text" : o.file,
                         .problem = "nothing to score",
                         .found = "0 tokens",
                         .expected = "some text"});
  // The first token is conditioned on BOS; a tokenizer without BOS leaves it without a score.
  const bool has_bos = tokenizer.bos_id().has_value();
  put_bos_first(tokenizer, ids);

  ProgressLine progress;
  ScoreOptions options{.window = o.window, .stride = o.stride, .cache = o.cache.form()};
  options.on_progress = [&](double fraction) {
    if (progress.due()) progress.show(concat("scoring ", progress_bar(fraction, 24)));
  };
  m.model.ensure_rope(m.arena, std::min(std::ssize(ids), m.model.config.max_position_embeddings));
  const std::vector<double> logprobs = score_tokens(m.ctx, m.model, ids, options, rank.turns);

  Summary sum;
  Json::Array tokens, values;
  if (!has_bos) {
    tokens.emplace_back(int64_t{ids.front()});
    values.emplace_back(nullptr);
  }
  for (size_t i = 0; i < logprobs.size(); ++i) {
    const int32_t id = ids[i + 1];
    sum.nats -= logprobs[i];
    sum.n_bytes += static_cast<int64_t>(tokenizer.token_bytes(id).size());
    tokens.emplace_back(int64_t{id});
    values.emplace_back(logprobs[i]);
  }
  sum.n_tokens = static_cast<int64_t>(logprobs.size());
  require(sum.n_tokens > 0, {.field = flags.given("text") ? "--text" : o.file,
                             .problem = "nothing to score",
                             .found = "1 token and no BOS to put before it",
                             .expected = "2 or more"});

  Json report;
  if (out.json()) {
    report["tokens"] = std::move(tokens);
    report["logprobs"] = std::move(values);
  }
  report["n_tokens"] = sum.n_tokens;
  report["n_bytes"] = sum.n_bytes;
  report["logprob"] = -sum.nats;
  report["bits_per_byte"] =
      sum.n_bytes > 0 ? Json(sum.nats / std::log(2.0) / static_cast<double>(sum.n_bytes)) : Json();
  report["perplexity"] = std::exp(sum.nats / static_cast<double>(sum.n_tokens));
  out.report(report);
}

int run(const ScoreCommand& o, const CommonOptions& common, const Flags& flags, Output& out) {
  require(flags.given("text") != flags.given("file"),
          {.field = "--text",
           .problem = "give exactly one text",
           .found = flags.given("text") ? "--text and --file" : "none",
           .expected = "--text or --file",
           .advice = "see hadal score --help"});
  require(!flags.given("text") || !flags.given("encoding"), {.field = "--encoding",
                                                             .problem = "is of a file",
                                                             .found = "--text",
                                                             .expected = "--file",
                                                             .advice = "an argument is UTF-8"});
  const LaunchedModel model{o.model, common.threads, common.chosen_device(), /*with_mtp=*/false};
  run_launched_model(model, [&](SpreadRank& rank) {
    o.activations.apply(rank.text.model);
    if (rank.leads()) score(o, flags, rank, out);
  });
  return 0;
}

}  // namespace

Command make_score_command() {
  auto options = std::make_shared<ScoreCommand>();
  return {"score", "log-probability, bits per byte and perplexity of a text",
          [options](Flags& flags) { bind(flags, *options); },
          [options](const CommonOptions& common, const Flags& flags, Output& out) {
            return run(*options, common, flags, out);
          }};
}

}  // namespace hadal::cli
