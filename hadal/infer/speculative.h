// infer/speculative.h: drafts from the MTP modules, and the test that keeps or drops them.
//
// A draft d of distribution q is kept with probability min(1, p(d) / q(d)), where p is the main
// model's distribution at its place; a dropped one is replaced by a sample of norm(max(0, p - q)).
// The tokens then have the main model's distribution exactly (arXiv:2302.01318; docs/inference.md,
// "Speculative decoding").
#pragma once

#include <span>
#include <vector>

#include "hadal/infer/cached_forward.h"
#include "hadal/infer/row_queue.h"
#include "hadal/infer/sampler.h"

namespace hadal {

struct Draft {
  int32_t token = 0;
  std::vector<double> q;  // empty when greedy: a draft is then kept iff it is the argmax
};

struct Verdict {
  bool kept = false;
  int32_t token = 0;  // the draft, or what takes its place
};
Verdict verify_draft(std::span<const double> p, const Draft& draft, Rng& rng);

// The MTP modules of one sequence. Module k reads row i of state_{k-1} and token i+k, so its cache
// ends k rows before the known tokens; states that wait for their token are kept here.
//
// Beyond the last module, drafting goes on with that module again, fed with its own state as the
// state of the next position. Rows that rest on drafts are dropped after each
// call and made again once their tokens are known.
//
// Every sequence drafts for itself; only the verification is one pass for all.
class MtpDrafter {
 public:
  // Uses the modules that `sequence` has pages for. Both arguments outlive the drafter. Whoever
  // calls catch_up or draft has reserved rows for the known tokens and the drafts behind them.
  MtpDrafter(const DeepseekV3& model, LatentSequence& sequence);

  // Rows [n,d] of the main model's state (HiddenRows::state), behind those given before.
  void observe(Context& ctx, View<const float, 2> states);
  // Prefill: runs the modules over every row whose token is among `tokens`.
  void catch_up(Context& ctx, std::span<const int32_t> tokens);
  // `n` tokens that may follow `tokens`; the main model has seen all of those but the last.
  // `n_generated` of them were generated (for the penalties).
  std::vector<Draft> draft(Context& ctx, std::span<const int32_t> tokens, int64_t n_generated,
                           int64_t n, const SamplingOptions& sampling, Rng& rng);
  // Forgets the rows of positions >= `length` and all waiting states. REQUIRES length + n_mtp at
  // most the number of known tokens.
  void rewind(int64_t length);

 private:
  // State rows, from position `first`, that module k has not used for good; `first` is where its
  // cache ends.
  struct Waiting {
    int64_t first = 0;
    RowQueue rows;
  };
  int64_t n_modules() const { return std::ssize(waiting_); }
  Waiting& waiting(int64_t module) { return waiting_[static_cast<size_t>(module)]; }
  int64_t cached(int64_t module) const { return sequence_.length(sequence_.mtp_layer(module)); }
  struct ModuleRows {
    Tensor state;                     // [n, d] of the module before
    std::span<const int32_t> tokens;  // [n]
  };
  ModuleRows next_rows(Context& ctx, int64_t module, std::span<const int32_t> tokens, int64_t end);
  HiddenRows run(Context& ctx, int64_t module, std::span<const int32_t> tokens, int64_t end,
                 AttentionForm& attention);
  void run_for_cache(Context& ctx, std::span<const int32_t> tokens, int64_t end);
  void settle(int64_t n_known);

  const DeepseekV3& model_;
  LatentSequence& sequence_;
  std::vector<Waiting> waiting_;  // per module: states of the one before it
};

}  // namespace hadal
