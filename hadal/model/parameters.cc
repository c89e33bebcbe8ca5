// Values and gradients of all parameters.
#include "hadal/core/rng.h"
#include "hadal/model/deepseek_v3.h"

namespace hadal {

void initialise_weights(DeepseekV3& model, Arena& arena, uint64_t seed, float std_dev) {
  for (NamedParam& each : named_params(model)) {
    each.param->master = Tensor::zeros(arena, DType::kF32, each.shape);
    std::vector<float> values(static_cast<size_t>(each.param->master.size()));
    // One stream a parameter: no tensor's values depend on another's size, or on whether it is held.
    Rng rng(seed, static_cast<uint64_t>(each.position));
    if (each.kind == ParamKind::kMatrix) {
      for (float& value : values) value = static_cast<float>(rng.normal() * double{std_dev});
    } else if (each.kind == ParamKind::kNorm) {
      for (float& value : values) value = 1.0F;
    }
    each.param->master.read_from(values.data());
  }
}

void allocate_gradients(DeepseekV3& model, Arena& arena) {
  for (NamedParam& each : named_params(model)) {
    if (each.kind != ParamKind::kRouteBias) each.param->allocate_grad(arena);
  }
}

}  // namespace hadal
