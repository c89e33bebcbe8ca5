// spread/turn_work.h: what ranks do between the passes that they share.
#pragma once

#include <cstdint>
#include <vector>

namespace hadal {

class TurnWork {
 public:
  virtual ~TurnWork() = default;
  // How many of this rank's tokens chose each expert of a layer with experts.
  virtual void took(int layer, const std::vector<int64_t>& load) = 0;
  // Whether this rank is ready for a step that all take together; said with every asking for a turn.
  virtual bool ready() = 0;
  // On all ranks before every turn, with the same arguments: whether all were ready, and whether a pass
  // follows. What it sends meets what the others send in theirs.
  virtual void before_turn(bool all_ready, bool is_pass) = 0;
  // All ranks leave: what is under way comes to its end.
  virtual void finish() = 0;
};

}  // namespace hadal
