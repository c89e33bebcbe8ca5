// infer/pass_turns.h: who decides when a pass of the model runs, and where its experts are. An engine alone
// runs when it likes, with all experts at hand; one of several that share their experts waits for its turn.
#pragma once

#include "hadal/nn/moe.h"

namespace hadal {

class PassTurns {
 public:
  static constexpr int kMain = 0;  // kind of pass: the main model; m > 0: MTP module m

  virtual ~PassTurns() = default;
  // Returns when a pass of this kind may run: what moves its tokens, until the next begin(). Once a pass,
  // before anything of it.
  virtual TokenDispatcher& begin(Context& ctx, int kind) = 0;
  // What the routers of the pass decided, layer by layer; layers without experts say nothing.
  virtual void routed(int /*layer*/, const RoutingResult& /*routing*/) {}
  // Who has nothing to run takes part in a pass of others. False: there was none.
  virtual bool take_part(Context& /*ctx*/) { return false; }
  // Nothing more to run: takes part in all passes of others, until none has more.
  virtual void leave(Context& /*ctx*/) {}
};

class LocalTurns final : public PassTurns {
 public:
  TokenDispatcher& begin(Context& ctx, int kind) override;

 private:
  LocalDispatcher dispatcher_;  // without state: many threads may have it
};
LocalTurns& local_turns();

}  // namespace hadal
