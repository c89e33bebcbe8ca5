// kernels/cpu/attention_rows.h: the row-wise part of attention, between its matrix products.
#pragma once

#include <cstdint>

namespace hadal::cpu {

// Running softmax of one query over blocks of keys (arXiv:2205.14135): after any number of blocks,
// sum = sum_j exp(s_j - largest) over the keys seen so far.
struct RunningSoftmax {
  float largest, sum;
};

// s[0..n_visible) holds q.k of the next keys; becomes exp(scale * s - largest), and zero up to
// n_keys. Returns the factor by which what was accumulated with the earlier keys must be
// multiplied.
float softmax_next_block(RunningSoftmax& state, float* s, int64_t n_visible, int64_t n_keys,
                         float scale);

// Backward of one query over a block of keys: s becomes p = exp(scale * s - lse), dp becomes
// ds = scale * p * (dp - o_dot_do); both zero from n_visible to n_keys.
void softmax_backward_block(float* s, float* dp, int64_t n_visible, int64_t n_keys, float scale,
                            float lse, float o_dot_do);

// y[0..n) *= factor
void scale_row(float* y, int64_t n, float factor);

// Whether the instruction set in use is AVX-512.
bool uses_512_bits();

float dot(const float* a, const float* b, int64_t n);

}  // namespace hadal::cpu
