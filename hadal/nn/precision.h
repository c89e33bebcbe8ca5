// nn/precision.h: in which precision the three products of a linear are computed (report section
// 3.3; docs/precision.md, "Training in BF16 and FP8"). Sums and weight gradients are F32 always.
#pragma once

#include <cstdint>

#include "hadal/ops/quantize.h"
#include "hadal/ops/working_weights.h"

namespace hadal {

enum class Precision : uint8_t {
  kF32,
  // To run a model: the input is rounded, the weight is multiplied in the form in which it is
  // stored, and gradients stay F32.
  kBf16Input,           // as programs that compute in BF16 do
  kFp8Input,            // E4M3 in tiles of 1x128, F32 scales, no amax below 1e-4
  kFp8InputPowerOfTwo,  // the same, scales rounded up to powers of two
  // To train: inputs and gradients are rounded, and wait for the way back as they were rounded. The
  // weight is the working copy that is made of the F32 master after every step.
  kBf16,
  kFp8,           // E4M3: tiles of 1x128, weights in blocks of 128x128, power-of-two scales
  kFp8F32Scales,  // the same with scales amax / 448
};

// Where the 128x1 tiles come from that the weight gradient of an FP8 linear needs.
enum class WeightGradientTiles : uint8_t {
  kRetiled,  // cut again from the 1x128 codes that wait (the report's way): one byte a value
  kColumns,  // quantised by columns beside them, from the F32 rows: rounded once, another byte
};

// What of an RMSNorm waits for the way back in FP8 training.
enum class KeptNorms : uint8_t {
  kInputs,   // BF16: the output is formed again (the report's way)
  kOutputs,  // the 1x128 codes that the linears behind it multiply: half the bytes
};

inline bool trains_in_bf16(Precision p) { return p == Precision::kBf16; }
// Whether every value of a weight in this form is one of BF16: E4M3 codes are where their scales are powers
// of two.
inline bool holds_bf16(WeightForm form, Precision p) {
  return form == WeightForm::kBF16 || (form == WeightForm::kFp8 && p == Precision::kFp8);
}
// The same for inputs, and for gradients, as the products of nt and nn read them.
inline bool rounds_input_to_bf16(Precision p) {
  return p == Precision::kBf16 || p == Precision::kBf16Input || p == Precision::kFp8 ||
         p == Precision::kFp8InputPowerOfTwo;
}
inline bool rounds_gradient_to_bf16(Precision p) {
  return p == Precision::kBf16 || p == Precision::kFp8;
}
inline bool trains_in_fp8(Precision p) {
  return p == Precision::kFp8 || p == Precision::kFp8F32Scales;
}
inline WorkingForm working_form(Precision p) {
  return p == Precision::kBf16           ? WorkingForm::kBf16
         : p == Precision::kFp8          ? WorkingForm::kFp8
         : p == Precision::kFp8F32Scales ? WorkingForm::kFp8F32Scales
                                         : WorkingForm::kMaster;
}
// No floor below amax: it would erase the tiles of tiny gradients.
inline TileOptions training_tiles(Precision p) {
  return {.power_of_two = p == Precision::kFp8, .amax_floor = false};
}

}  // namespace hadal
