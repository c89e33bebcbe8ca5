#include "hadal/kernels/reference/round_input.h"

#include <algorithm>
#include <cmath>

namespace hadal::reference {
namespace {

// code * scale of up to 32 values: scale = amax / 127, the code is the nearest whole number.
void round_block(std::span<float> out, std::span<const float> x) {
  float amax = 0.0F;
  for (const float value : x) amax = std::max(amax, std::abs(value));
  const float scale = amax / 127.0F, inverse = amax > 0.0F ? 127.0F / amax : 0.0F;
  for (size_t i = 0; i < x.size(); ++i) out[i] = std::nearbyint(x[i] * inverse) * scale;
}

}  // namespace

RoundedInput::RoundedInput(View<const float, 2> x, WeightForm form) : view_(x) {
  if (form != WeightForm::kQ8 && form != WeightForm::kQ4) return;
  const int64_t T = x.dim(0), K = x.dim(1);
  values_.resize(static_cast<size_t>(T * K));
  const View<float, 2> rounded(values_.data(), {T, K});
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; k += kQuantBlock) {
      const auto first = static_cast<size_t>(k);
      const auto n = static_cast<size_t>(std::min(kQuantBlock, K - k));
      round_block(rounded.row(t).subspan(first, n), x.row(t).subspan(first, n));
    }
  }
  view_ = rounded;
}

}  // namespace hadal::reference
