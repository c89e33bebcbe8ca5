#include "hadal/spread/rank_turns.h"

#include "hadal/comm/collectives.h"
#include "hadal/comm/wait_patiently.h"
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

// Of two wishes; the order is: MTP 1, 2, ..., main model, nothing, leave.
bool precedes(int a, int b) {
  const bool both_mtp = a > PassTurns::kMain && b > PassTurns::kMain;
  return both_mtp ? a < b : a > b;
}

const char* phase_of(int kind) {
  if (kind > PassTurns::kMain) return "MTP";
  return kind == PassTurns::kMain ? "main model" : "nothing to run";
}

}  // namespace

// What runs next, of what the ranks want: the same on all of them.
int RankTurns::agreed(Context& ctx, int wanted) {
  ++n_turns_;
  group_.at({.step = n_turns_, .phase = "asking for a pass"});
  const int32_t mine[] = {wanted, work_ != nullptr && work_->ready() ? 1 : 0};
  Tensor message = Tensor::empty(ctx.arena, DType::kI32, {2});
  message.read_from(mine);
  Exchange exchange = start_all_gather(group_, message, ctx.arena);
  if (wanted < kMain) wait_patiently(exchange);
  int next = kLeave;
  bool all_ready = true;
  for (const Tensor& answer : exchange.finish()) {
    const int other = answer.flat<int32_t>()[0];
    if (precedes(other, next)) next = other;
    all_ready = all_ready && answer.flat<int32_t>()[1] != 0;
  }
  group_.at({.step = n_turns_, .phase = phase_of(next)});
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

bool RankTurns::take_part(Context& ctx) {
  const int next = agreed(ctx, kNothing);
  if (next < kMain) return false;
  pass_without_rows(ctx, next);
  return true;
}

void RankTurns::leave(Context& ctx) {
  for (int next = agreed(ctx, kLeave); next != kLeave; next = agreed(ctx, kLeave)) {
    if (next >= kMain) pass_without_rows(ctx, next);
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
