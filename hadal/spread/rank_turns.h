// spread/rank_turns.h: the passes of ranks that share one model's experts. Each rank has requests, pages and
// attention of its own, and a part of every layer's experts (report section 3.4): a pass runs on all of them
// at once, with whatever rows each has for it.
//
//   engine of a rank      turns.begin(kind)  ... pass ...        as LocalTurns, infer/pass_turns.h
//   a rank without work   turns.take_part()                      once a turn
//   at the end            turns.leave()                          until all leave
//
// Before every pass the ranks tell each other what they want next. MTP passes go first, the lowest module
// before the next: drafting ends after a few passes, and then all want the main model, which so reads its
// experts once for all. Who wants something else takes part without rows and asks again. A rank's tokens do
// not depend on the others': rows' bits do not depend on their neighbours, and with CombineForm::kF32 not on
// where experts are.
#pragma once

#include "hadal/comm/communicator.h"
#include "hadal/infer/pass_turns.h"
#include "hadal/model/deepseek_v3.h"
#include "hadal/spread/turn_work.h"

namespace hadal {

class RankTurns final : public PassTurns {
 public:
  // All ranks of the group together. The dispatcher is one between them; all outlive the turns.
  RankTurns(Communicator& group, TokenDispatcher& dispatcher, const DeepseekV3& model)
      : group_(group), dispatcher_(dispatcher), model_(model) {}

  // What is done between passes from now on, at the same turn on all ranks; nullptr: nothing.
  void do_between(TurnWork* work) { work_ = work; }

  TokenDispatcher& begin(Context& ctx, int kind) override;
  void routed(int layer, const RoutingResult& routing) override {
    if (work_ != nullptr) work_->took(layer, routing.load);
  }

  // Waits for the others as long as it takes, for they may be loading or talking to somebody; who wants a
  // pass waits the communicator's patience.
  bool take_part(Context& ctx) override;
  void leave(Context& ctx) override;

  int64_t n_turns() const { return n_turns_; }  // so far, the same on all ranks
  int64_t n_passes() const {
    return n_passes_;
  }  // of them, those in which this rank had a pass of its own

 private:
  static constexpr int kNothing = -1, kLeave = -2;  // beside kinds of pass
  int agreed(Context& ctx, int wanted);
  void pass_without_rows(Context& ctx, int kind);

  Communicator& group_;
  TokenDispatcher& dispatcher_;
  const DeepseekV3& model_;
  TurnWork* work_ = nullptr;
  int64_t n_turns_ = 0, n_passes_ = 0;
};

}  // namespace hadal
