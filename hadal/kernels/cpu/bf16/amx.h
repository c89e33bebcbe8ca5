// kernels/cpu/bf16/amx.h: the products of packed blocks with AMX (Xeons since Sapphire Rapids).
#pragma once

#include <cstdint>

namespace hadal::cpu {

// Whether the processor has TDPBF16PS, the system lends its registers to this process, and nobody has
// ruled it out.
bool amx_usable();
void allow_amx(bool allowed);

// Blocks of BF16 as tiles of 16 rows by a group of 32 along k, [panel of 16 rows][group]; those of b
// hold two k beside each other for each of 16 columns. c[m,n] (+)= a b.
struct AmxBlocks {
  const uint16_t* a;
  const uint16_t* b;
  int64_t m, n, n_groups;
};
void amx_multiply(float* c, int64_t ldc, const AmxBlocks& blocks, bool accumulate);

}  // namespace hadal::cpu
