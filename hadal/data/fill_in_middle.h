// data/fill_in_middle.h: FIM in the order prefix, suffix, middle (report section 4.1):
//
//   fim_begin PREFIX fim_hole SUFFIX fim_end MIDDLE
//
// The two cuts are uniform character positions, so they fall inside words as well; each part is
// tokenised on its own.
#pragma once

#include <string_view>

#include "hadal/core/rng.h"

namespace hadal {

struct FillInMiddle {
  std::string_view prefix, middle, suffix;  // prefix + middle + suffix is the text
};

// REQUIRES valid UTF-8. Draws exactly two numbers.
FillInMiddle cut_fill_in_middle(std::string_view text, Rng& rng);

}  // namespace hadal
