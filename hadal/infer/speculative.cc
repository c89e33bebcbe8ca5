#include "hadal/infer/speculative.h"

#include <algorithm>

#include "hadal/model/head.h"

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

MtpDrafter::MtpDrafter(const DeepseekV3& model, const RopeTable& rope, LatentKvCache& cache)
    : model_(model), rope_(rope), cache_(cache), waiting_(static_cast<size_t>(cache.n_mtp())) {}

int64_t MtpDrafter::n_waiting(int64_t module) const {
  return static_cast<int64_t>(waiting_[static_cast<size_t>(module)].rows.size()) /
         model_.config.d_model;
}

void MtpDrafter::wait_for(int64_t module, View<const float, 2> state) {
  std::vector<float>& rows = waiting_[static_cast<size_t>(module)].rows;
  rows.insert(rows.end(), state.data(), state.data() + state.size());
}

void MtpDrafter::observe(const HiddenRows& main, int64_t n_rows) {
  wait_for(0, main.state(model_.config.mtp_hidden).mat().rows(0, n_rows));
}

// The inputs of `module` for rows [where its cache ends, end).
MtpDrafter::ModuleRows MtpDrafter::next_rows(Context& ctx, int64_t module,
                                             std::span<const int32_t> tokens, int64_t end) const {
  const int64_t begin = cache_.mtp(module).length(), n = end - begin, d = model_.config.d_model;
  const Waiting& waiting = waiting_[static_cast<size_t>(module)];
  Tensor state = ctx.empty({n, d});
  std::copy_n(waiting.rows.begin() + (begin - waiting.first) * d, n * d,
              state.flat<float>().begin());
  return {std::move(state),
          tokens.subspan(static_cast<size_t>(begin + module + 1), static_cast<size_t>(n))};
}

// Module `module` over rows [where its cache ends, end); its states queue up for the next module.
HiddenRows MtpDrafter::run(Context& ctx, int64_t module, std::span<const int32_t> tokens,
                           int64_t end, AttentionForm& attention) {
  const ModuleRows rows = next_rows(ctx, module, tokens, end);
  HiddenRows out =
      cached_mtp_forward(ctx, model_, module, rows.tokens, rows.state, attention);
  if (module + 1 < cache_.n_mtp()) {
    wait_for(module + 1, out.state(model_.config.mtp_hidden).mat());
  }
  return out;
}

// The same when nobody reads the outputs: there is no next module.
void MtpDrafter::run_for_cache(Context& ctx, std::span<const int32_t> tokens, int64_t end) {
  const int64_t last = cache_.n_mtp() - 1;
  if (end <= cache_.mtp(last).length()) return;
  const ModuleRows rows = next_rows(ctx, last, tokens, end);
  cache_mtp_rows(ctx, model_, last, rows.tokens, rows.state, rope_, cache_);
}

// Keeps what rests on known tokens only: row i of module k needs token i + k.
void MtpDrafter::settle(int64_t n_known) {
  const int64_t d = model_.config.d_model;
  for (int64_t module = 0; module < cache_.n_mtp(); ++module) {
    LatentRows& rows = cache_.mtp(module);
    rows.truncate(std::min(rows.length(), std::max<int64_t>(0, n_known - 1 - module)));
    Waiting& waiting = waiting_[static_cast<size_t>(module)];
    waiting.rows.erase(waiting.rows.begin(),
                       waiting.rows.begin() + (rows.length() - waiting.first) * d);
    waiting.first = rows.length();
    if (module + 1 < cache_.n_mtp()) {
      Waiting& next = waiting_[static_cast<size_t>(module + 1)];
      next.rows.resize(static_cast<size_t>((rows.length() - next.first) * d));
    }
  }
}

void MtpDrafter::catch_up(Context& ctx, std::span<const int32_t> tokens) {
  const int64_t n_known = static_cast<int64_t>(tokens.size());
  for (int64_t module = 0; module < cache_.n_mtp(); ++module) {
    const int64_t first = waiting_[static_cast<size_t>(module)].first;
    const int64_t end = std::min(first + n_waiting(module), n_known - 1 - module);
    if (end <= first) continue;
    if (module + 1 == cache_.n_mtp()) {
      run_for_cache(ctx, tokens, end);
    } else {
      PrefillAttention attention(rope_, cache_);
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
  AbsorbedAttention attention(rope_, cache_);
  Tensor state;  // of the row that drafted last
  while (static_cast<int64_t>(drafts.size()) < n) {
    const int64_t k = static_cast<int64_t>(drafts.size());
    HiddenRows out;
    if (k < cache_.n_mtp()) {
      // Of the last module's rows only the newest drafts; the others just fill its cache.
      if (k + 1 == cache_.n_mtp()) run_for_cache(ctx, known_and_drafted, n_known - 2);
      out = run(ctx, k, known_and_drafted, n_known - 1, attention);
    } else {  // the last module again, one position on
      const std::span<const int32_t> token(&known_and_drafted.back(), 1);
      out = cached_mtp_forward(ctx, model_, cache_.n_mtp() - 1, token, state, attention);
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
  for (int64_t module = 0; module < cache_.n_mtp(); ++module) {
    LatentRows& rows = cache_.mtp(module);
    rows.truncate(std::min(rows.length(), length));
    waiting_[static_cast<size_t>(module)] = {rows.length(), {}};
  }
}

}  // namespace hadal
