#include "hadal/infer/speculative.h"

#include <algorithm>

#include "hadal/model/head.h"

namespace hadal {
MtpDrafter::MtpDrafter(const DeepseekV3& model, LatentSequence& sequence, PassTurns& turns)
    : model_(model),
      sequence_(sequence),
      turns_(turns),
      waiting_(static_cast<size_t>(sequence.pages().n_mtp())) {}

void MtpDrafter::observe(Context& ctx, View<const float, 2> states) {
  waiting(0).rows.push(ctx, states);
}

View<const float, 2> MtpDrafter::states(int64_t module, int64_t end) {
  const Waiting& from = waiting(module);
  return from.rows.rows().rows(cached(module) - from.first, end - from.first);
}

// Wishes for no row are left out.
MtpDrafter::ModuleRows MtpDrafter::gather_rows(Context& ctx, const DeepseekV3& model,
                                               int64_t module, std::span<const Wish> wishes) {
  ModuleRows rows;
  std::vector<View<const float, 2>> parts;
  for (const Wish& wish : wishes) {
    const int64_t begin = wish.drafter->cached(module), n = wish.end - begin;
    if (n <= 0) continue;
    const auto tokens =
        wish.tokens.subspan(static_cast<size_t>(begin + module + 1), static_cast<size_t>(n));
    rows.tokens.insert(rows.tokens.end(), tokens.begin(), tokens.end());
    rows.shares.push_back({&wish.drafter->sequence_, n});
    parts.push_back(wish.drafter->states(module, wish.end));
  }
  rows.state = ctx.empty({std::ssize(rows.tokens), model.config.d_model});
  int64_t first = 0;
  for (const View<const float, 2> part : parts) {
    copy_rows(ctx, rows.state.mat().rows(first, first + part.dim(0)), part);
    first += part.dim(0);
  }
  return rows;
}

// The module over the rows wished for; its states queue up for the next module.
HiddenRows MtpDrafter::run(Context& ctx, const DeepseekV3& model, int64_t module,
                           std::span<const Wish> wishes, Form form) {
  const ModuleRows rows = gather_rows(ctx, model, module, wishes);
  const bool prefill = form == Form::kPrefill;
  MixedAttention attention(model.rope, prefill ? std::vector<BatchShare>() : rows.shares,
                           prefill ? rows.shares : std::vector<BatchShare>());
  HiddenRows out = cached_mtp_forward(ctx, model, module, rows.tokens, rows.state, attention,
                                      wishes.front().drafter->turns_);
  int64_t first = 0;
  for (const Wish& wish : wishes) {
    if (module + 1 == wish.drafter->n_modules()) break;
    const int64_t n = wish.end - wish.drafter->waiting(module).first;
    wish.drafter->waiting(module + 1)
        .rows.push(ctx, out.state(model.config.mtp_hidden).mat().rows(first, first + n));
    first += n;
  }
  return out;
}

// The last module when nobody reads the outputs.
void MtpDrafter::run_for_cache(Context& ctx, const DeepseekV3& model,
                               std::span<const Wish> wishes) {
  const int64_t last = wishes.front().drafter->n_modules() - 1;
  const ModuleRows rows = gather_rows(ctx, model, last, wishes);
  if (rows.tokens.empty()) return;
  cache_mtp_rows(ctx, model, last, rows.tokens, rows.state, rows.shares);
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

void MtpDrafter::catch_up(Context& ctx, std::span<const int32_t> tokens, Form form) {
  const int64_t n_known = static_cast<int64_t>(tokens.size());
  for (int64_t module = 0; module < n_modules(); ++module) {
    const int64_t first = waiting(module).first;
    const int64_t end = std::min(first + waiting(module).rows.size(), n_known - 1 - module);
    if (end <= first) continue;
    const Wish all{this, tokens, end};
    if (module + 1 == n_modules()) {
      run_for_cache(ctx, model_, {&all, 1});
    } else {
      run(ctx, model_, module, {&all, 1}, form);
    }
  }
  settle(n_known);
}

// Draft k of every job: the rows of module k that it rests on, or beyond the last module one row
// that goes on from `state`, row i of which is job i's. `last` receives the row that drafts, per job.
HiddenRows MtpDrafter::run_drafts(Context& ctx, const DeepseekV3& model, int64_t k,
                                  std::span<const Job> jobs, Tensor state,
                                  std::vector<RowRange>& last) {
  const int64_t n_modules = jobs.front().drafter->n_modules();
  int64_t n_rows = 0;
  const auto add_last = [&](int64_t n) {
    n_rows += n;
    last.push_back({.to = std::ssize(last), .from = n_rows - 1, .n = 1});
  };
  if (k >= n_modules) {
    ModuleRows rows{std::move(state), {}, {}};
    for (const Job& job : jobs) {
      rows.tokens.push_back(job.tokens->back());
      rows.shares.push_back({&job.drafter->sequence_, 1});
      add_last(1);
    }
    AbsorbedAttention attention(model.rope, rows.shares);
    return cached_mtp_forward(ctx, model, n_modules - 1, rows.tokens, rows.state, attention,
                              jobs.front().drafter->turns_);
  }
  std::vector<Wish> wishes, before;
  for (const Job& job : jobs) {
    const int64_t n_known = std::ssize(*job.tokens) - k;
    wishes.push_back({job.drafter, *job.tokens, n_known - 1});
    before.push_back({job.drafter, *job.tokens, n_known - 2});
  }
  // Of the last module's rows only the newest drafts; the others just fill its cache.
  if (k + 1 == n_modules) run_for_cache(ctx, model, before);
  for (const Wish& wish : wishes) add_last(wish.end - wish.drafter->cached(k));
  return run(ctx, model, k, wishes, Form::kAbsorbed);
}

void MtpDrafter::draft_together(Context& ctx, const DeepseekV3& model, std::span<const Job> jobs) {
  std::vector<Job> drafting(jobs.begin(), jobs.end());
  Tensor state;  // [jobs, d]: of the row that drafted last
  for (int64_t k = 0;; ++k) {
    std::vector<RowRange> go_on;
    for (size_t i = 0; i < drafting.size(); ++i) {
      if (drafting[i].n <= k) continue;
      go_on.push_back({std::ssize(go_on), static_cast<int64_t>(i), 1});
    }
    if (go_on.empty()) break;
    if (k > 0) state = picked_rows(ctx, state, go_on);
    std::erase_if(drafting, [&](const Job& job) { return job.n <= k; });

    std::vector<RowRange> last;
    const HiddenRows out = run_drafts(ctx, model, k, drafting, std::move(state), last);
    state = picked_rows(ctx, out.state(model.config.mtp_hidden), last);
    const Tensor logits =
        head_logits(ctx, model, picked_rows(ctx, out.normed, last).mat()).to_host();
    for (size_t i = 0; i < drafting.size(); ++i) {
      const Job& job = drafting[i];
      const std::span<const float> row = logits.mat().row(static_cast<int64_t>(i));
      job.tokens->push_back(choose_token(row, *job.sampling, *job.tokens, job.n_generated + k));
    }
  }
  for (const Job& job : jobs) job.drafter->settle(std::ssize(*job.tokens) - job.n);
}

std::vector<SequenceState::Waiting> MtpDrafter::saved(Context& ctx) const {
  std::vector<SequenceState::Waiting> all;
  for (const auto& [first, rows] : waiting_) {
    SequenceState::Waiting& own = all.emplace_back();
    own.first = first;
    if (rows.size() == 0) continue;
    own.rows = ctx.empty({rows.size(), model_.config.d_model});
    copy_rows(ctx, own.rows.mat(), rows.rows());
    own.rows = own.rows.to_host();
  }
  return all;
}

void MtpDrafter::restore(Context& ctx, std::span<const SequenceState::Waiting> waiting) {
  for (size_t module = 0; module < waiting_.size(); ++module) {
    waiting_[module] = {waiting[module].first, {}};
    if (!waiting[module].rows.has_data()) continue;
    const Tensor rows = waiting[module].rows.placed_in(ctx.arena);
    waiting_[module].rows.push(ctx, rows.mat());
  }
}

void MtpDrafter::rewind(int64_t length) {
  for (int64_t module = 0; module < n_modules(); ++module) {
    const int64_t n_rows = std::min(cached(module), length);
    sequence_.truncate(sequence_.mtp_layer(module), n_rows);
    waiting(module) = {n_rows, {}};
  }
}

}  // namespace hadal
