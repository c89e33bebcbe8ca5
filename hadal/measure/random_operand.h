// measure/random_operand.h: operands and token ids for measurements; their values do not matter,
// but zeros and denormals would.
#pragma once

#include <vector>

#include "hadal/core/rng.h"
#include "hadal/tensor/context.h"

namespace hadal {

inline Tensor random_operand(Context& ctx, Tensor::Shape shape, uint64_t seed) {
  Tensor result = ctx.empty(std::move(shape));
  Rng rng(seed);
  for (float& value : result.flat<float>()) value = static_cast<float>(rng.uniform() - 0.5);
  return result;
}

inline std::vector<int32_t> random_tokens(int64_t n, int64_t vocab_size, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(rng.uniform_below(static_cast<uint64_t>(vocab_size)));
  }
  return tokens;
}

}  // namespace hadal
