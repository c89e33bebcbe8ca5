// model/precision.h: the precision of a whole model's linears, by class. Embedding, head, router,
// norms, the attention core and MTP's eh_proj have none: they are F32 always.
#pragma once

#include "hadal/model/deepseek_v3.h"

namespace hadal {

struct ModelPrecision {
  LinearPrecision attention, dense, shared, experts;

  static ModelPrecision all(LinearPrecision precision) {
    return {precision, precision, precision, precision};
  }
};

void set_precision(DeepseekV3& model, const ModelPrecision& precision);
// The same one for all classes.
void set_precision(DeepseekV3& model, LinearPrecision precision);

// The weights of all linears that are held, in a fixed order, with the form that products read.
std::vector<WorkingWeight> working_weights(DeepseekV3& model);
// Working weights of every linear, straight from the F32 masters (nn/linear.h): after the first
// values, after every optimizer step, and after every other change of the masters.
void remake_working_weights(Context& ctx, DeepseekV3& model);

}  // namespace hadal
