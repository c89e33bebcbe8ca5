#include "hadal/infer/pass_turns.h"

namespace hadal {

TokenDispatcher& LocalTurns::begin(Context& /*ctx*/, int /*kind*/) { return dispatcher_; }

LocalTurns& local_turns() {
  static LocalTurns turns;
  return turns;
}

}  // namespace hadal
