// kernels/cpu/latent_block.h: products of attention on BF16 rows, by instructions that multiply two
// BF16 pairs at once and add in F32 (AVX512_BF16): twice the rate of F32. Highway 1.0 has no such
// product, so these are intrinsics.
//
// A row of a result depends on its own row of q or p and on the keys alone, never on how many rows
// come with it.
#pragma once

#include "hadal/kernels/latent_layout.h"

namespace hadal::cpu {

// Whether this processor has them, and the instruction sets in use include its widest.
bool has_bf16_products();

// Columns of every row of q are padded with zeros to a multiple of this.
inline constexpr int64_t kBf16Step = 32;

// The rows behind those of a call, asked for while these are multiplied: kRows rows ahead, in the order in
// which they lie in memory (few_rows.cc has the rates of DRAM with and without).
struct ReadAhead {
  static constexpr int64_t kRows = 32;
  const std::byte* next_page = nullptr;  // of 64 rows; none: nothing follows
};
void ask_for(const std::byte* data, int64_t bytes);  // into L2

// The rest REQUIRES has_bf16_products().
//
// Nearest even; what is below the smallest normal number becomes zero.
void bf16_round(bf16* to, const float* from, int64_t n);
// s[R,n] = q[R,d] k[n,d]^T. q's rows are padded, k's are not.
void bf16_scores(View<float, 2> s, View<const bf16, 2> q, View<const bf16, 2> k, ReadAhead ahead);
// o[R,d_c] (+)= p[R,n] v[n,d_c]. p's rows are padded to an even number of columns with zeros.
void bf16_values(View<float, 2> o, View<const bf16, 2> p, View<const bf16, 2> v, bool accumulate);
// FP8 rows as the BF16 rows that they are, exactly: to [n, d_c + d_r].
void fp8_rows_as_bf16(View<bf16, 2> to, const LatentRows& from, ReadAhead ahead);

// Nearest even, on any processor.
void round_to_bf16(bf16* to, const float* from, int64_t n);

}  // namespace hadal::cpu
