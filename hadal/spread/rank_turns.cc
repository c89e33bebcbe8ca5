#include "hadal/spread/rank_turns.h"

#include <algorithm>

#include "hadal/comm/collectives.h"
#include "hadal/infer/cached_forward.h"

namespace hadal {
namespace {

// While a rank takes part in the pass of another, which has begun by then.
class BegunTurn final : public PassTurns {
 public:
  explicit BegunTurn(TokenDispatcher& dispatcher) : dispatcher_(dispatcher) {}
  TokenDispatcher& begin(Context& /*ctx*/, int /*kind*/) override { return dispatcher_; }

 private:
  TokenDispatcher& dispatcher_;
};

}  // namespace

// What runs next, of what the ranks want: the same on all of them.
int RankTurns::agreed(Context& ctx, int wanted) {
  ++n_turns_;
  group_.at({.step = n_turns_, .phase = "asking for a pass"});
  const int32_t mine[] = {wanted, work_ != nullptr && work_->ready() ? 1 : 0};
  Tensor message = Tensor::empty(ctx.arena, DType::kI32, {2});
  message.read_from(mine);
  int next = kLeave;
  bool all_ready = true;
  const auto precedes = [](int a, int b) {  // MTP 1, 2, ..., main, nothing, leave
    if (a > kMain && b > kMain) return a < b;
    return a > b;
  };
  for (const Tensor& answer : start_all_gather(group_, message, ctx.arena).finish()) {
    const int other = answer.flat<int32_t>()[0];
    if (precedes(other, next)) next = other;
    all_ready = all_ready && answer.flat<int32_t>()[1] != 0;
  }
  group_.at({.step = n_turns_,
             .phase = next == kMain  ? "main model"
                      : next > kMain ? "MTP"
                                     : "idle"});
  if (work_ != nullptr) {
    if (next == kLeave) {
      work_->finish();
    } else {
      work_->before_turn(all_ready, next >= kMain);
    }
  }
  return next;
}

TokenDispatcher& RankTurns::begin(Context& ctx, int kind) {
  for (int next = agreed(ctx, kind); next != kind; next = agreed(ctx, kind)) {
    pass_without_rows(ctx, next);
  }
  ++n_passes_;
  return dispatcher_;
}

RankTurns::Turn RankTurns::other_turn(Context& ctx, int wanted) {
  const int next = agreed(ctx, wanted);
  if (next == kLeave) return Turn::kAllLeave;
  if (next == kNothing) return Turn::kNobody;
  pass_without_rows(ctx, next);
  return Turn::kPass;
}

void RankTurns::leave(Context& ctx) {
  while (other_turn(ctx, kLeave) != Turn::kAllLeave) {
  }
}

void RankTurns::pass_without_rows(Context& ctx, int kind) {
  Context unheard = ctx;  // whoever listens waits for rows of this rank
  unheard.probe = nullptr;
  BegunTurn turn(dispatcher_);
  MixedAttention attention(model_.rope, {}, {});
  if (kind == kMain) {
    cached_forward(unheard, model_, {}, attention, turn);
    return;
  }
  const Tensor no_states = ctx.empty({0, model_.config.d_model});
  cached_mtp_forward(unheard, model_, kind - 1, {}, no_states, attention, turn);
}

}  // namespace hadal
