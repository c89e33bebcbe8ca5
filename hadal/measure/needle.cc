#include "hadal/measure/needle.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"
#include "hadal/infer/logprobs.h"
#include "hadal/infer/sampler.h"
#include "hadal/measure/sequence_reader.h"

namespace hadal {
namespace {

constexpr const char* kBeginning = " The number of the old gate is";
constexpr const char* kEnd = ". Keep it.";
// Plain sentences about nothing, over and over.
constexpr const char* kFiller =
    " The road went on along the river. A cart with apples stood in front of the mill, and the "
    "miller "
    "spoke of the weather. In the evening the wind turned and the boats came home. Children ran "
    "over "
    "the bridge. Somebody had left a lamp in the window.";

std::string number_text(Rng& rng) {
  std::string digits;
  for (int i = 0; i < 7; ++i) digits += static_cast<char>('0' + rng.uniform_below(10));
  if (digits.front() == '0') digits.front() = '1';
  return digits;
}

using Ids = std::vector<int32_t>;

void append(Ids& ids, std::span<const int32_t> more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

double logprob_of(std::span<const float> logits, int32_t id) {
  return logprobs_of(logits, id, 0, 0).logprob;
}

struct Outcome {
  bool found = true;
  int64_t rank = 0;
  double logprob = 0;
};

double logprob_of_answer(SequenceReader& reader, std::span<const float> first, const Ids& answer,
                         bool* greedy) {
  const Tensor rest = reader.behind(answer).to_host();
  double sum = 0;
  for (size_t i = 0; i < answer.size(); ++i) {
    const std::span<const float> row =
        i == 0 ? first : std::as_const(rest).mat().row(static_cast<int64_t>(i) - 1);
    sum += logprob_of(row, answer[i]);
    if (greedy != nullptr) *greedy = *greedy && argmax(row, 0) == answer[i];
  }
  return sum;
}

Outcome try_once(TextModel& m, LatentPages& pages, int64_t context, double depth, Rng& rng) {
  const NeedlePrompt prompt = needle_prompt(m, context, depth, number_text(rng));
  SequenceReader reader(m, pages);
  const Tensor logits = reader.read(prompt.ids).to_host();
  const std::span<const float> first = std::as_const(logits).flat<float>();
  Outcome outcome;
  outcome.logprob = logprob_of_answer(reader, first, prompt.answer, &outcome.found);
  for (int64_t i = 1; i < kNeedleCandidates; ++i) {
    const Ids other = m.need_tokenizer().encode(" " + number_text(rng), /*added_tokens=*/false);
    outcome.rank += logprob_of_answer(reader, first, other, nullptr) > outcome.logprob;
  }
  return outcome;
}

void check(const NeedleOptions& o, const ModelConfig& config) {
  for (const int64_t context : o.contexts) {
    require(context <= config.max_position_embeddings - 16,
            {.field = "context",
             .problem = "longer than the model's positions",
             .found = context,
             .expected = {"at most ", config.max_position_embeddings - 16}});
  }
  for (const double depth : o.depths) {
    require(depth >= 0 && depth <= 1,
            {.field = "depths", .problem = "out of range", .found = depth, .expected = "0 to 1"});
  }
  require(
      o.trials >= 1,
      {.field = "trials", .problem = "out of range", .found = o.trials, .expected = "1 or more"});
}

}  // namespace

NeedlePrompt needle_prompt(const TextModel& text_model, int64_t context, double depth,
                           const std::string& number) {
  const Tokenizer& tokenizer = text_model.need_tokenizer();
  const auto encode = [&](const std::string& text) {
    return tokenizer.encode(text, /*added_tokens=*/false);
  };
  NeedlePrompt prompt;
  prompt.answer = encode(" " + number);
  const Ids beginning = encode(kBeginning), end = encode(kEnd), filler = encode(kFiller);
  if (text_model.tokenizer->bos_id()) prompt.ids.push_back(*text_model.tokenizer->bos_id());
  const int64_t room = context - std::ssize(prompt.ids) - 2 * std::ssize(beginning) -
                       std::ssize(prompt.answer) - std::ssize(end);
  require(room >= 0, {.field = "context",
                      .problem = "too short for the sentence",
                      .found = context,
                      .expected = {context - room, " or more"}});
  const int64_t before = std::llround(depth * static_cast<double>(room));
  for (int64_t i = 0; i < room; ++i) {
    if (i == before) {
      append(prompt.ids, beginning);
      append(prompt.ids, prompt.answer);
      append(prompt.ids, end);
    }
    prompt.ids.push_back(filler[static_cast<size_t>(i) % filler.size()]);
  }
  if (before == room) {
    append(prompt.ids, beginning);
    append(prompt.ids, prompt.answer);
    append(prompt.ids, end);
  }
  append(prompt.ids, beginning);
  return prompt;
}

std::vector<NeedleCell> find_needles(TextModel& m, const NeedleOptions& o) {
  const ModelConfig& config = m.model.config;
  check(o, config);
  std::vector<NeedleCell> cells;
  const double n_all =
      static_cast<double>(o.contexts.size() * o.depths.size()) * static_cast<double>(o.trials);
  int64_t n_done = 0;
  for (const int64_t context : o.contexts) {
    const int64_t capacity = std::min(context + 64, config.max_position_embeddings);
    m.model.ensure_rope(m.arena, capacity);
    LatentPages pages(config, pages_for(capacity), 0, o.cache, m.arena.memory());
    for (const double depth : o.depths) {
      NeedleCell cell{.context = context, .depth = depth, .trials = o.trials};
      for (int64_t trial = 0; trial < o.trials; ++trial) {
        Rng rng(o.seed + static_cast<uint64_t>(trial));
        const Outcome outcome = try_once(m, pages, context, depth, rng);
        cell.found += outcome.found;
        cell.first_rank += outcome.rank == 0;
        cell.mean_rank += static_cast<double>(outcome.rank) / static_cast<double>(o.trials);
        cell.logprob += outcome.logprob / static_cast<double>(o.trials);
        if (o.on_progress && !o.on_progress(static_cast<double>(++n_done) / n_all)) return cells;
      }
      cells.push_back(cell);
    }
  }
  return cells;
}

}  // namespace hadal
