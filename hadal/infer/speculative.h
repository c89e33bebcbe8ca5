// infer/speculative.h: drafts from the MTP modules.
//
// A draft is a guess of what the main model will choose at its place: the module's own argmax, or its
// own draw with the random numbers of that place (infer/sampler.h). It is kept if it is the token
// that the main model then chooses. So drafts change no token, greedy or sampled (docs/inference.md,
// "Speculative decoding").
#pragma once

#include <span>
#include <vector>

#include "hadal/infer/cached_forward.h"
#include "hadal/infer/row_queue.h"
#include "hadal/infer/sampler.h"
#include "hadal/infer/sequence_state.h"
#include "hadal/ops/copy.h"

namespace hadal {

// The MTP modules of one sequence. Module k reads row i of state_{k-1} and token i+k, so its cache
// ends k rows before the known tokens; states that wait for their token are kept here.
//
// Beyond the last module, drafting goes on with that module again, fed with its own state as the
// state of the next position. Rows that rest on drafts are dropped after each
// call and made again once their tokens are known.
class MtpDrafter {
 public:
  // Uses the modules that `sequence` has pages for. All arguments outlive the drafter. Whoever
  // calls catch_up or draft_together has reserved rows for the known tokens and the drafts behind.
  MtpDrafter(const DeepseekV3& model, LatentSequence& sequence, PassTurns& turns = local_turns());

  // Rows [n,d] of the main model's state (HiddenRows::state), behind those given before.
  void observe(Context& ctx, View<const float, 2> states);
  int64_t n_waiting() const { return waiting_.front().rows.size(); }  // rows observed and not used
  // Runs the modules over every row whose token is among `tokens`: a prompt's in MHA form, others in
  // absorbed form.
  enum class Form { kPrefill, kAbsorbed };
  void catch_up(Context& ctx, std::span<const int32_t> tokens, Form form);
  // Forgets the rows of positions >= `length` and all waiting states. REQUIRES length + n_mtp at
  // most the number of known tokens.
  void rewind(int64_t length);

  // What waits, and the same in a drafter of another pool whose pages have come, too.
  std::vector<SequenceState::Waiting> saved(Context& ctx) const;
  void restore(Context& ctx, std::span<const SequenceState::Waiting> waiting);

  // A sequence that drafts: `n` tokens that may follow `tokens` are appended to them. The main model
  // has seen all of `tokens` but the last; `n_generated` of them were generated.
  struct Job {
    MtpDrafter* drafter;
    std::vector<int32_t>* tokens;
    int64_t n_generated, n;
    const SamplingOptions* sampling;
  };
  // The next draft of all in one pass, then the one behind it. Nobody's drafts depend on the others'.
  // REQUIRES drafters with the same turns.
  static void draft_together(Context& ctx, const DeepseekV3& model, std::span<const Job> jobs);

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
  // States [where the module's pages end, end), of the module before.
  View<const float, 2> states(int64_t module, int64_t end);
  void settle(int64_t n_known);

  // Rows of one module in one pass: those of every share follow each other.
  struct ModuleRows {
    Tensor state;  // [n, d] of the module before
    std::vector<int32_t> tokens;
    std::vector<BatchShare> shares;
  };
  struct Wish {
    MtpDrafter* drafter;
    std::span<const int32_t> tokens;
    int64_t end;  // rows from where the module's pages end
  };
  static ModuleRows gather_rows(Context& ctx, const DeepseekV3& model, int64_t module,
                                std::span<const Wish> wishes);
  static HiddenRows run(Context& ctx, const DeepseekV3& model, int64_t module,
                        std::span<const Wish> wishes, Form form);
  static void run_for_cache(Context& ctx, const DeepseekV3& model, std::span<const Wish> wishes);
  static HiddenRows run_drafts(Context& ctx, const DeepseekV3& model, int64_t k,
                               std::span<const Job> jobs, Tensor state,
                               std::vector<RowRange>& last);

  const DeepseekV3& model_;
  LatentSequence& sequence_;
  PassTurns& turns_;
  std::vector<Waiting> waiting_;  // per module: states of the one before it
};

}  // namespace hadal
