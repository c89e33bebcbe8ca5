// measure/measure_load.h: how fast a checkpoint becomes a model that can run.
#pragma once

#include <string>

#include "hadal/measure/measurement.h"
#include "hadal/model/checkpoint.h"
#include "hadal/tensor/context.h"

namespace hadal {

// Loads the folder `rounds` times after a first time that brings it into the page cache. GB/s of
// checkpoint bytes, held against the rate of reading memory; weights as stored are only mapped and
// exceed it. "first token" is the same from the folder to one token behind a prompt of 16: what
// mapping puts off is paid there. details: bytes of the weights, peak_rss_mb with the mapped pages,
// peak_above_weights_mb what of it is more than the weights.
MeasureReport measure_load(Context& ctx, const std::string& folder, LoadAs dtype, int64_t rounds);

}  // namespace hadal
