// schedule/action_text.h: an action as a short text, the same in schedule files and messages. The
// numbers are a stage and a micro-batch; behind the arrow stands the other rank.
//
//   F 0 3             forward of stage 0, micro-batch 3
//   B 0 3             full backward        Bi 0 3   input part only     W 0 3   weight part
//   F&B 0 3 7 1       forward of (0, 3) overlapped with the full backward of (7, 1)
//   send a 0 3 -> 1   the activation that F 0 3 made        recv a 0 3 <- 0   its other side
//   send g 1 3 -> 0   the gradient that B or Bi 1 3 made    recv g 1 3 <- 1   its other side
#pragma once

#include <string>
#include <string_view>

#include "hadal/schedule/schedule.h"

namespace hadal {

std::string to_text(const Action& action);

// FormatError for any other text; the caller puts file and position in front of the message. Spaces
// may be repeated. Numbers are compared only with the types that hold them, not with a schedule's
// extents.
Action parse_action(std::string_view text);

}  // namespace hadal
