#include "hadal/kernels/quantize_q8_q4.h"

#include <algorithm>
#include <cmath>

#include "hadal/tensor/quantized.h"

namespace hadal::reference {
namespace {

// The smallest BF16 that is not below amax / largest_code; 1 for a block of zeros.
bf16 scale_of(std::span<const float> block, float largest_code) {
  float amax = 0.0F;
  for (const float value : block) amax = std::max(amax, std::abs(value));
  if (amax == 0.0F) return to_bf16(1.0F);
  const float exact = std::max(amax / largest_code, 0x1.0p-126F);  // keep clear of subnormals
  bf16 scale = to_bf16(exact);
  if (to_float(scale) < exact) ++scale.bits;
  return scale;
}

int code_of(float value, float scale) { return static_cast<int>(std::nearbyint(value / scale)); }

// Calls body(row, first column, one past the last, scale) for every block.
template <class Body>
void for_each_block(View<const float, 2> w, View<bf16, 2> scales, float largest_code,
                    const Body& body) {
  for (int64_t n = 0; n < w.dim(0); ++n) {
    for (int64_t b = 0; b < scales.dim(1); ++b) {
      const int64_t first = b * kQuantBlock, last = std::min(w.dim(1), first + kQuantBlock);
      const auto block =
          w.row(n).subspan(static_cast<size_t>(first), static_cast<size_t>(last - first));
      scales(n, b) = scale_of(block, largest_code);
      body(n, first, last, to_float(scales(n, b)));
    }
  }
}

}  // namespace

void quantize_q8(View<int8_t, 2> codes, View<bf16, 2> scales, View<const float, 2> w) noexcept {
  for_each_block(w, scales, 127.0F, [&](int64_t n, int64_t first, int64_t last, float scale) {
    for (int64_t k = first; k < last; ++k) {
      codes(n, k) = static_cast<int8_t>(code_of(w(n, k), scale));
    }
  });
}

void quantize_q4(View<uint8_t, 2> codes, View<bf16, 2> scales, View<const float, 2> w) noexcept {
  for_each_block(w, scales, 7.0F, [&](int64_t n, int64_t first, int64_t last, float scale) {
    for (int64_t k = first; k < last; k += 2) {  // blocks begin at even columns
      const int low = code_of(w(n, k), scale) + 8;
      const int high = k + 1 < last ? code_of(w(n, k + 1), scale) + 8 : 8;
      codes(n, k / 2) = static_cast<uint8_t>(low | high << 4);
    }
  });
}

}  // namespace hadal::reference
