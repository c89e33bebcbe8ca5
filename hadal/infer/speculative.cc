#include "hadal/infer/speculative.h"

#include <algorithm>

#include "hadal/model/head.h"
#include "hadal/ops/copy.h"

namespace hadal {
namespace {

Draft choose_draft(std::span<const float> logits, const SamplingOptions& sampling,
                   std::span<const int32_t> history, int64_t n_generated, Rng& rng) {
  if (sampling.is_plain_greedy()) return {argmax(logits, sampling.n_usable_ids), {}};
  Draft draft;
  draft.q = sampling_distribution(logits, sampling, history, n_generated);
  draft.token = sample(draft.q, rng);
  return draft;
}

}  // namespace

Verdict verify_draft(std::span<const double> p, const Draft& draft, Rng& rng) {
  const size_t d = static_cast<size_t>(draft.token);
  if (rng.uniform() * draft.q[d] < p[d]) return {true, draft.token};
  std::vector<double> rest(p.size());
  double sum = 0.0;
  for (size_t i = 0; i < p.size(); ++i) {
    rest[i] = std::max(0.0, p[i] - draft.q[i]);
    sum += rest[i];
  }
  if (sum <= 0.0) return {false, sample(p, rng)};  // p = q up to rounding
  for (double& value : rest) value /= sum;
  return {false, sample(rest, rng)};
}

MtpDrafter::MtpDrafter(const DeepseekV3& model, LatentSequence& sequence)
    : model_(model), sequence_(sequence), waiting_(static_cast<size_t>(sequence.pages().n_mtp())) {}

void MtpDrafter::observe(Context& ctx, View<const float, 2> states) {
  waiting(0).rows.push(ctx, states);
}

// The inputs of `module` for rows [where its pages end, end).
MtpDrafter::ModuleRows MtpDrafter::next_rows(Context& ctx, int64_t module,
                                             std::span<const int32_t> tokens, int64_t end) {
  const int64_t begin = cached(module), n = end - begin, first = waiting(module).first;
  Tensor state = ctx.empty({n, model_.config.d_model});
  if (n > 0)
    copy_rows(ctx, state.mat(), waiting(module).rows.rows().rows(begin - first, end - first));
  return {std::move(state),
          tokens.subspan(static_cast<size_t>(begin + module + 1), static_cast<size_t>(n))};
}

// Module `module` over rows [where its pages end, end); its states queue up for the next module.
HiddenRows MtpDrafter::run(Context& ctx, int64_t module, std::span<const int32_t> tokens,
                           int64_t end, AttentionForm& attention) {
  const ModuleRows rows = next_rows(ctx, module, tokens, end);
  HiddenRows out = cached_mtp_forward(ctx, model_, module, rows.tokens, rows.state, attention);
  if (module + 1 < n_modules()) {
    waiting(module + 1).rows.push(ctx, out.state(model_.config.mtp_hidden).mat());
  }
  return out;
}

// The same when nobody reads the outputs: there is no next module.
void MtpDrafter::run_for_cache(Context& ctx, std::span<const int32_t> tokens, int64_t end) {
  const int64_t last = n_modules() - 1;
  if (end <= cached(last)) return;
  const ModuleRows rows = next_rows(ctx, last, tokens, end);
  cache_mtp_rows(ctx, model_, last, rows.tokens, rows.state, sequence_);
}

// Keeps what rests on known tokens only: row i of module k needs token i + k.
void MtpDrafter::settle(int64_t n_known) {
  for (int64_t module = 0; module < n_modules(); ++module) {
    const int64_t n_rows = std::min(cached(module), std::max<int64_t>(0, n_known - 1 - module));
    sequence_.truncate(sequence_.mtp_layer(module), n_rows);
    waiting(module).rows.drop_first(n_rows - waiting(module).first);
    waiting(module).first = n_rows;
    if (module + 1 < n_modules()) {
      waiting(module + 1).rows.keep_first(n_rows - waiting(module + 1).first);
    }
  }
}

void MtpDrafter::catch_up(Context& ctx, std::span<const int32_t> tokens) {
  const int64_t n_known = static_cast<int64_t>(tokens.size());
  for (int64_t module = 0; module < n_modules(); ++module) {
    const int64_t first = waiting(module).first;
    const int64_t end = std::min(first + waiting(module).rows.size(), n_known - 1 - module);
    if (end <= first) continue;
    if (module + 1 == n_modules()) {
      run_for_cache(ctx, tokens, end);
    } else {
      PrefillAttention attention(model_.rope, sequence_);
      run(ctx, module, tokens, end, attention);
    }
  }
  settle(n_known);
}

std::vector<Draft> MtpDrafter::draft(Context& ctx, std::span<const int32_t> tokens,
                                     int64_t n_generated, int64_t n,
                                     const SamplingOptions& sampling, Rng& rng) {
  std::vector<Draft> drafts;
  std::vector<int32_t> known_and_drafted(tokens.begin(), tokens.end());
  const int64_t n_known = static_cast<int64_t>(tokens.size());
  Tensor state;  // of the row that drafted last
  while (static_cast<int64_t>(drafts.size()) < n) {
    const int64_t k = static_cast<int64_t>(drafts.size());
    HiddenRows out;
    if (k < n_modules()) {
      // Of the last module's rows only the newest drafts; the others just fill its cache.
      if (k + 1 == n_modules()) run_for_cache(ctx, known_and_drafted, n_known - 2);
      AbsorbedAttention attention(model_.rope, {{&sequence_, n_known - 1 - cached(k)}});
      out = run(ctx, k, known_and_drafted, n_known - 1, attention);
    } else {  // the last module again, one position on
      const std::span<const int32_t> token(&known_and_drafted.back(), 1);
      AbsorbedAttention attention(model_.rope, {{&sequence_, 1}});
      out = cached_mtp_forward(ctx, model_, n_modules() - 1, token, state, attention);
    }
    state = last_row(ctx, out.state(model_.config.mtp_hidden));
    const Tensor logits = head_logits(ctx, model_, last_row(ctx, out.normed).mat());
    drafts.push_back(
        choose_draft(logits.flat<float>(), sampling, known_and_drafted, n_generated + k, rng));
    known_and_drafted.push_back(drafts.back().token);
  }
  settle(n_known);
  return drafts;
}

void MtpDrafter::rewind(int64_t length) {
  for (int64_t module = 0; module < n_modules(); ++module) {
    const int64_t n_rows = std::min(cached(module), length);
    sequence_.truncate(sequence_.mtp_layer(module), n_rows);
    waiting(module) = {n_rows, {}};
  }
}

}  // namespace hadal
