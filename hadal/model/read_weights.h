// model/read_weights.h: the files of a model brought into memory before it is run, where they fit.
#pragma once

#include "hadal/io/safetensors.h"
#include "hadal/model/config.h"
#include "hadal/tensor/context.h"

namespace hadal {

// Nothing if they are in memory already, which costs under a millisecond to see. Reads them from front to
// back else, with a progress line; where they do not fit, says so once and leaves reading to those who
// need a page. Interrupted on SIGINT.
void read_weights_ahead(Context& ctx, const TensorSource& source, const ModelConfig& config);

}  // namespace hadal
