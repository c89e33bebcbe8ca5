#include "hadal/measure/completion.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/json.h"
#include "hadal/corpus/white_space.h"
#include "hadal/infer/scored_windows.h"
#include "hadal/ops/argmax.h"
#include "hadal/ops/cross_entropy.h"

namespace hadal {
namespace {

// What the model makes of every token but the first: its log-probability, and whether none is likelier.
struct Judged {
  std::vector<double> logprob;
  std::vector<bool> likeliest;
};

Judged judge(TextModel& m, const std::vector<int32_t>& ids) {
  Judged judged;
  const ScoreOptions options;
  ScoredLogits read(m.ctx, m.model, options, std::ssize(ids));
  for_each_scored(m.model.config, ids, options, [&](const ScoredPiece& piece) {
    const Tensor logits = read.of(piece);
    Tensor loss = m.ctx.empty({logits.dim(0)});
    cross_entropy_forward(m.ctx, loss.vec(), logits.mat(), piece.targets);
    std::vector<int64_t> best(piece.targets.size());
    argmax_rows(m.ctx, best, logits.mat());
    const Tensor on_host = loss.to_host();
    for (size_t i = 0; i < best.size(); ++i) {
      judged.logprob.push_back(-double{on_host.flat<float>()[i]});
      judged.likeliest.push_back(best[i] == piece.targets[i]);
    }
  });
  return judged;
}

// Adds the lines of `text`, whose bytes belong to tokens that are the likeliest or not.
void count_lines(std::string_view text, const std::vector<bool>& byte_is_right,
                 CompletionScore& score) {
  bool all = true;
  const size_t known = std::min(text.size(), byte_is_right.size());
  for (size_t begin = 0; begin < known;) {
    const size_t end = std::min(text.find('\n', begin), known);
    const std::string_view line = text.substr(begin, end - begin);
    if (!std::all_of(line.begin(), line.end(), is_space)) {
      const auto at = [&](size_t i) { return byte_is_right.begin() + static_cast<int64_t>(i); };
      const bool exact = std::all_of(at(begin), at(end), [](bool right) { return right; });
      ++score.lines;
      score.exact_lines += exact ? 1 : 0;
      all = all && exact;
    }
    begin = end + 1;
  }
  ++score.texts;
  score.exact_texts += all && known == text.size() ? 1 : 0;
}

}  // namespace

std::vector<HeldOutText> read_held_out(const std::string& path) {
  std::vector<HeldOutText> texts;
  const std::string lines = read_text_file(path);
  for (size_t at = 0; at < lines.size();) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    const Json line = parse_json(std::string_view(lines).substr(at, end - at), path);
    texts.push_back(
        {line.at("name").as_string(), line.at("prompt").as_string(), line.at("text").as_string()});
    at = end + 1;
  }
  return texts;
}

double CompletionScore::bits_per_byte() const {
  return bytes > 0 ? nats / std::log(2.0) / static_cast<double>(bytes) : 0.0;
}

CompletionScore score_completions(TextModel& text_model, const std::vector<HeldOutText>& texts) {
  const Tokenizer& tokenizer = text_model.need_tokenizer();
  const int64_t positions = text_model.model.config.max_position_embeddings;
  text_model.model.ensure_rope(text_model.arena, positions);
  CompletionScore score;
  for (const HeldOutText& each : texts) {
    if (interrupted()) throw Interrupted("interrupted; nothing was measured");
    std::vector<int32_t> prompt = text_model.encode(each.prompt);
    std::vector<int32_t> body = tokenizer.encode(each.text);
    const auto room = static_cast<size_t>(positions);
    body.resize(std::min(body.size(), room - 1));
    if (body.empty() || prompt.empty()) continue;
    const size_t kept = std::min(prompt.size(), room - body.size());
    std::vector<int32_t> ids(prompt.end() - static_cast<int64_t>(kept), prompt.end());
    ids.insert(ids.end(), body.begin(), body.end());

    const Judged judged = judge(text_model, ids);
    std::vector<bool> byte_is_right;
    for (size_t i = 0; i < body.size(); ++i) {
      const size_t at = kept + i - 1;  // the first token has no judgement
      score.nats -= judged.logprob[at];
      const size_t bytes = tokenizer.token_bytes(body[i]).size();
      byte_is_right.insert(byte_is_right.end(), bytes, judged.likeliest[at]);
    }
    score.bytes += static_cast<int64_t>(byte_is_right.size());
    count_lines(each.text, byte_is_right, score);
  }
  return score;
}

}  // namespace hadal
