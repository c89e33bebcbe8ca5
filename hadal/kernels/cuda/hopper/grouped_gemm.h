// kernels/cuda/hopper/grouped_gemm.h: products of grouped matrices on Hopper, one launch for all groups. All
// pointers are device memory, strides count elements, every matrix is row-major.
//
// By rows (y = a b^T, each row with its group's b):
//   y[m,n] = sum_k a[m,k] b[g(m),n,k]                                                   BF16
//   y[m,n] = sum_kb (sum_{k in kb} a[m,k] b[g(m),n,k]) * sa[m,kb] * sb[g(m),n/128,kb]     E4M3; kb: 128 k
// Weight gradients (sum over a group's tokens; a token group is any number of rows, in BF16):
//   dw[g,n,k] (+)= sum_{t in g} dy[t,n] x[t,k]                                            BF16
//   dw[g,n,k] (+)= sum_tb (sum_{t in tb} dyt[n,t] xt[k,t]) * sdy[tb,n] * sx[tb,k]          E4M3; tb: 128 t
// The sum over 128 E4M3 products is the matrix unit's (f32 with about 14 bits, docs/precision.md), what is
// added to it is f32; BF16 accumulates in the matrix unit's f32. Results are BF16 (rounded to nearest even)
// or f32. Adding to f32 results happens in L2, where subnormals count as zero.
//
// An element depends on its row of a, its row of b and k alone: not on the other rows, groups, or tiles.
// A call launches one kernel on the stream (of no tokens: at most fills dw with zeros), allocates nothing
// and does not wait. Throws ShapeError where can_multiply() says no.
//
// Not yet run on a card.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "hadal/tensor/dtype.h"

namespace hadal::cuda {

// Which rows of a and y belong to which group:
//   offsets: group g has rows offsets[g] to offsets[g+1], of any number, rows in all (contiguous);
//   counts:  group g has rows g * rows to g * rows + counts[g], at most `rows` (masked, for decoding);
//   neither: group g has `rows` rows from g * rows on (one group: a plain product).
// Rows of no group are neither read nor written.
struct RowGroups {
  int groups = 1;
  int64_t rows = 0;
  const int32_t* offsets = nullptr;  // device [groups+1]
  const int32_t* counts = nullptr;   // device [groups]
  int64_t expected_rows =
      0;  // in a group, to choose the tile by; 0: as many as there are on average
};

// The tile of a block: rows by columns of the result. Changes the time, never a bit.
enum class GroupedGemmTile { kAuto, k64x256, k128x128, k256x128 };

struct GroupedResult {
  void* data = nullptr;
  int64_t stride = 0;
  bool is_f32 = false;
  bool accumulate = false;  // f32 alone: adds to what is there

  GroupedResult() = default;
  GroupedResult(bf16* y, int64_t y_stride) : data(y), stride(y_stride) {}
  GroupedResult(float* y, int64_t y_stride, bool adds)
      : data(y), stride(y_stride), is_f32(true), accumulate(adds) {}
};

// Needs: a, b 16-byte aligned, their strides multiples of 16, k too; a_scales aligned to 16 bytes,
// a_scale_stride a multiple of 4; y 16-byte aligned, y's stride and n multiples of 16 bytes.
struct GroupedGemmFp8 {
  RowGroups rows;
  int64_t n = 0, k = 0;
  const f8e4m3* a = nullptr;  // [rows, k]
  int64_t a_stride = 0;
  const float* a_scales =
      nullptr;                 // [ceil(k/128), a_scale_stride]: a 128-block's scales side by side
  int64_t a_scale_stride = 0;  // at least the rows of a
  const f8e4m3* b = nullptr;   // [groups, n, k]
  int64_t b_stride = 0;
  const float* b_scales = nullptr;  // [groups, ceil(n/128), b_scale_stride]
  int64_t b_scale_stride = 0;       // at least ceil(k/128)
  GroupedResult y;                  // [rows, n]
  GroupedGemmTile tile = GroupedGemmTile::kAuto;
};

// Needs: as above with strides multiples of 8.
struct GroupedGemmBf16 {
  RowGroups rows;
  int64_t n = 0, k = 0;
  const bf16* a = nullptr;  // [rows, k]
  int64_t a_stride = 0;
  const bf16* b = nullptr;  // [groups, n, k]; b_is_kn: [groups, k, n], as dx = dy w needs it
  int64_t b_stride = 0;
  bool b_is_kn = false;
  GroupedResult y;  // [rows, n]
  GroupedGemmTile tile = GroupedGemmTile::kAuto;
};

// Needs: offsets multiples of 128 (what fills a group up has codes of zero); dyt, xt, dw 16-byte aligned,
// token strides multiples of 16; scales aligned to 16 bytes, their strides multiples of 4; k a multiple of 4.
struct GroupedWeightGradientFp8 {
  int groups = 1;
  const int32_t* offsets = nullptr;  // device [groups+1], into the tokens
  int64_t tokens = 0, n = 0, k = 0;
  const f8e4m3* dyt = nullptr;  // [n, tokens]
  int64_t dyt_stride = 0;
  const float* dyt_scales = nullptr;  // [tokens/128, dyt_scale_stride], one a row of dyt
  int64_t dyt_scale_stride = 0;
  const f8e4m3* xt = nullptr;  // [k, tokens]
  int64_t xt_stride = 0;
  const float* xt_scales = nullptr;  // [tokens/128, xt_scale_stride]
  int64_t xt_scale_stride = 0;
  float* dw = nullptr;  // [groups, n, k]
  bool accumulate = true;
};

// Needs: dy, x, dw 16-byte aligned; strides multiples of 8; k a multiple of 4.
struct GroupedWeightGradientBf16 {
  int groups = 1;
  const int32_t* offsets = nullptr;  // device [groups+1], into the tokens
  int64_t tokens = 0, n = 0, k = 0;
  const bf16* dy = nullptr;  // [tokens, n]
  int64_t dy_stride = 0;
  const bf16* x = nullptr;  // [tokens, k]
  int64_t x_stride = 0;
  float* dw = nullptr;  // [groups, n, k]
  bool accumulate = true;
};

// Whether extents and alignments are what the copy engine takes; else another kernel has to do it.
bool can_multiply(const GroupedGemmFp8& product) noexcept;
bool can_multiply(const GroupedGemmBf16& product) noexcept;
bool can_multiply(const GroupedWeightGradientFp8& product) noexcept;
bool can_multiply(const GroupedWeightGradientBf16& product) noexcept;

void multiply(const GroupedGemmFp8& product, cudaStream_t stream);
void multiply(const GroupedGemmBf16& product, cudaStream_t stream);
void multiply(const GroupedWeightGradientFp8& product, cudaStream_t stream);
void multiply(const GroupedWeightGradientBf16& product, cudaStream_t stream);

}  // namespace hadal::cuda
