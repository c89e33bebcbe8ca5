// model/read_weights.h: the files of a model brought into memory before it is run, where they fit.
#pragma once

#include <span>
#include <vector>

#include "hadal/model/stored_weight.h"

namespace hadal {

// Where in the mapped files these weights lie, neighbours together.
std::vector<std::span<const std::byte>> mapped_ranges(const TensorSource& source,
                                                      std::span<const StoredWeight> weights);

// Nothing if the ranges are in memory already, which costs under a millisecond to see. Reads them from front to
// back else, with a progress line; where they do not fit, says so once and leaves reading to those who
// need a page. Interrupted on SIGINT.
void read_weights_ahead(Context& ctx, const TensorSource& source, const ModelConfig& config,
                        const std::vector<std::span<const std::byte>>& ranges);

}  // namespace hadal
