// reproduce/context_extension.cc: two short phases with YaRN behind pre-training, eight and 32 times the
// length (arXiv:2412.19437 section 4.3, figure 8).
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/corpus/corpus.h"
#include "hadal/infer/score.h"
#include "hadal/measure/needle.h"
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/training_shape.h"

namespace hadal {
namespace {

constexpr const char* kAfter = "after both phases";
constexpr const char* kNoYarn = "both phases, no YaRN";
constexpr const char* kBefore = "before";

constexpr int64_t kFirstTimes = 8, kSecondTimes = 32;  // 32K and 128K are of 4K

// YaRN as published, its factor (40) of the length that the model was pre-trained with.
Json yarn(int64_t trained_length) {
  return Json::Object{{"type", "yarn"},
                      {"factor", 40},
                      {"beta_fast", 32},
                      {"beta_slow", 1},
                      {"mscale", 1.0},
                      {"mscale_all_dim", 1.0},
                      {"original_max_position_embeddings", trained_length}};
}

TrainConfig::Phase longer_rows(const std::string& name, int64_t seq_len, int64_t sequences,
                               int64_t steps) {
  Json settings = Json::object();
  settings["train"] =
      Json::Object{{"seq_len", seq_len}, {"batch_sequences", sequences}, {"steps", steps}};
  settings["eval"] = Json::Object{{"every_steps", 0}, {"sequences", 8}};
  return {.name = name, .settings = {.origin = "context-extension", .root = settings}};
}

TrainConfig extended_run(const Effort& effort, const std::string& variant) {
  TrainConfig config = half_nano(effort);
  const int64_t length = config.train.seq_len;
  config.model.overrides["rope_scaling"] = "none";
  config.model.overrides["max_position_embeddings"] = 40 * length;  // read, not trained on, before
  if (variant == kBefore) return config;
  const int64_t steps = effort.quick ? 1 : 40;
  config.phases = {longer_rows("8 times the context", kFirstTimes * length, 4, steps),
                   longer_rows("32 times the context", kSecondTimes * length, 1, steps)};
  if (variant == kAfter) {
    config.phases.front().settings.root["model"] = Json::Object{{"rope_scaling", yarn(length)}};
  }
  return config;
}

// Tokens of held-out documents, each behind its BOS, `length` of each.
std::vector<std::vector<int32_t>> long_documents(const TextModel& m, const TrainConfig& run,
                                                 int64_t length, size_t at_most) {
  const Corpus corpus = Corpus::scan(list_source_files(run.data.paths), run.data.corpus);
  std::vector<std::vector<int32_t>> documents;
  corpus.for_each(Split::kValidation, [&](const Document& document, const ContentHash&) {
    if (documents.size() == at_most) return;
    std::vector<int32_t> ids = m.need_tokenizer().encode(document.text, /*added_tokens=*/false);
    put_bos_first(m.need_tokenizer(), ids);
    if (std::ssize(ids) < length) return;
    ids.resize(static_cast<size_t>(length));
    documents.push_back(std::move(ids));
  });
  require(!documents.empty(), {.field = "text",
                               .problem = "no held-out document is long enough",
                               .expected = {length, " tokens or more"}});
  return documents;
}

// What the tokens of some positions cost, over many documents.
struct Cost {
  double nats = 0.0;
  int64_t bytes = 0;
  double bits_per_byte() const { return nats / std::log(2.0) / static_cast<double>(bytes); }
};

// Of every position of a text of `length` tokens but the first.
std::vector<Cost> cost_by_position(TextModel& m, const TrainConfig& run, int64_t length,
                                   size_t documents) {
  m.model.ensure_rope(m.arena, length);
  std::vector<Cost> cost(static_cast<size_t>(length));
  for (const std::vector<int32_t>& ids : long_documents(m, run, length, documents)) {
    const std::vector<double> logprobs =
        score_tokens(m.ctx, m.model, ids, {.window = length, .stride = length / 2});
    for (size_t i = 1; i < ids.size(); ++i) {
      cost[i].nats -= logprobs[i - 1];
      cost[i].bytes += std::ssize(m.need_tokenizer().token_bytes(ids[i]));
    }
  }
  return cost;
}

Cost sum(const std::vector<Cost>& cost, int64_t begin, int64_t end) {
  Cost all;
  for (int64_t i = begin; i < end; ++i) {
    all.nats += cost[static_cast<size_t>(i)].nats;
    all.bytes += cost[static_cast<size_t>(i)].bytes;
  }
  return all;
}

// Positions up to 16, from there to 32, to 64, ...
Curve by_position(const std::vector<Cost>& cost) {
  Curve curve;
  int64_t begin = 1;
  for (int64_t end = 16; end <= std::ssize(cost); begin = end, end *= 2) {
    curve.x.push_back(static_cast<double>(end));
    curve.y.push_back(sum(cost, begin, end).bits_per_byte());
  }
  return curve;
}

void look_for_needles(TextModel& m, const Trial& trial, const std::string& name, int64_t context,
                      Outcome& outcome) {
  NeedleOptions options{.contexts = {context}, .depths = {0, 0.25, 0.5, 0.75, 1}, .trials = 3};
  if (trial.quick) options.depths = {0.5};
  options.seed = static_cast<uint64_t>(trial.seed) + 1;
  double tried = 0, found = 0, first = 0;
  for (const NeedleCell& cell : find_needles(m, options)) {
    tried += static_cast<double>(cell.trials);
    found += static_cast<double>(cell.found);
    first += static_cast<double>(cell.first_rank);
  }
  outcome.figures["found_" + name] = 100.0 * found / tried;
  outcome.figures["first_" + name] = 100.0 * first / tried;
}

void measure_extension(Context& ctx, const Trial& trial, Outcome& outcome) {
  const int64_t trained = trial.run->train.seq_len, longest = kSecondTimes * trained;
  TextModel m(trial.run->train.out, ctx.pool.n_threads(), ctx.device, /*with_mtp=*/false);
  const std::vector<Cost> cost = cost_by_position(m, *trial.run, longest, trial.quick ? 2 : 24);
  outcome.figures["within"] = sum(cost, 1, trained).bits_per_byte();
  outcome.figures["to_first"] = sum(cost, trained, kFirstTimes * trained).bits_per_byte();
  outcome.figures["to_second"] = sum(cost, kFirstTimes * trained, longest).bits_per_byte();
  outcome.figures["beyond"] = sum(cost, trained, longest).bits_per_byte();
  outcome.curves["bits"] = by_position(cost);
  look_for_needles(m, trial, "within", std::max<int64_t>(trained, 96), outcome);
  look_for_needles(m, trial, "beyond", longest, outcome);
}

}  // namespace

Experiment make_context_extension() {
  Experiment e;
  e.name = "context-extension";
  e.claim =
      "Two short phases of longer rows behind pre-training, with YaRN switched on, let a model "
      "read 32 times the length that it was trained with.";
  e.reported =
      "from 4K to 32K to 128K, 1000 steps each (62.9B tokens of 14.8T); after fine-tuning the "
      "needle is found at all depths and lengths up to 128K (section 4.3, figure 8)";
  e.varied =
      "before: pre-trained on rows of 128 tokens, read at up to 4096 as it is; after: the same "
      "run went on with 40 steps on rows of 1024 and 40 on rows of 4096, at the last rate, YaRN "
      "on (factor 40); no YaRN: the same rows and steps, rotations as they were. One pre-training "
      "serves all three";
  e.limits =
      "Half a million parameters do not learn in a million tokens to copy a number out of a text, "
      "at any length: the needle test as published cannot show here, and its figures are chance. "
      "Whether the length can be read shows in the loss by position, on held-out documents of "
      "4096 tokens or more";
  e.variants = {kAfter, kNoYarn, kBefore};
  e.figures = {{"within", "held-out bits per byte within the old length"},
               {"to_first", "from there to 8 times the length"},
               {"to_second", "from there to 32 times"},
               {"beyond", "all beyond the old length"},
               {"first_within", "needle ranked first of ten within the old length, % (chance: 10)"},
               {"first_beyond", "needle ranked first of ten at 32 times the length, %"},
               {"found_within", "needle written digit by digit within the old length, %"},
               {"found_beyond", "needle written digit by digit at 32 times the length, %"}};
  e.claims = {{.text = "text beyond the old length is read better after the two phases",
               .reported = "128K tokens are read after them (figure 8)",
               .figure = "beyond",
               .variant = kAfter,
               .baseline = kBefore},
              {.text = "better than with the same steps and no YaRN",
               .reported = "YaRN is used (section 4.3), nothing else compared",
               .figure = "beyond",
               .variant = kAfter,
               .baseline = kNoYarn},
              {.text = "the needle is found at 32 times the old length",
               .reported = "at all depths up to 128K, after fine-tuning (figure 8)",
               .figure = "first_beyond",
               .variant = kAfter,
               .baseline = kBefore,
               .higher = true}};
  e.panels = {{"bits", "held-out bits per byte"}};
  e.x_label = "position";
  e.x_logarithmic = true;
  e.default_tokens = 600'000;
  e.training = extended_run;
  e.measure = measure_extension;
  e.trains_variants = true;
  return e;
}

}  // namespace hadal
