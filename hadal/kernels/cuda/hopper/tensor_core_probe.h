// kernels/cuda/hopper/tensor_core_probe.h: single tensor core instructions (wgmma m64n8, F32 accumulator) on given
// operands, for finding out how a card adds (kernels/reference/tensor_core_sum.h). Not for speed.
// Not yet run on a card.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace hadal::cuda {

enum class ProbeOperands { kE4M3, kBF16 };

// Tile by tile: out = accumulator + a b^T, as `instructions` instructions of 32 bytes of the inner axis (32
// E4M3 codes or 16 BF16), one after another on the same accumulator.
struct TensorCoreProbe {
  ProbeOperands operands = ProbeOperands::kE4M3;
  const void* a = nullptr;             // [tiles][64][32 bytes * instructions]
  const void* b = nullptr;             // [tiles][8][32 bytes * instructions]
  const float* accumulator = nullptr;  // [tiles][64][8]; null: the first instruction ignores it
  float* out = nullptr;                // [tiles][64][8]
  int64_t tiles = 0;
  int instructions = 1;
  bool four_in_flight = false;  // issue four before waiting; REQUIRES instructions % 4 == 0
};

// All pointers on the card, aligned to 16 bytes.
void tensor_core_probe(cudaStream_t stream, const TensorCoreProbe& probe);

}  // namespace hadal::cuda
