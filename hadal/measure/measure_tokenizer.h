// measure/measure_tokenizer.h: the speed of encoding and decoding a text.
#pragma once

#include <string_view>

#include "hadal/data/tokenizer.h"
#include "hadal/measure/measurement.h"
#include "hadal/tensor/context.h"

namespace hadal {

// MB/s (1e6 bytes) of `text`, best of `rounds`: one thread, all threads of ctx, and decoding. No
// roof: the limit is the mathematics of merging, not the memory.
MeasureReport measure_tokenizer(Context& ctx, const Tokenizer& tokenizer, std::string_view text,
                                int64_t rounds);

}  // namespace hadal
