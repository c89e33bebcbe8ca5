// kernels/cuda/hopper/latent_decode.h: attention in absorbed form over the paged latent cache on Hopper's tensor
// cores (formulas: ops/latent_attention.h; rows: kernels/latent_layout.h; pages: kernels/paged_rows.h).
//
// Of DeepSeek-V3's widths: d_c 512, d_r 64. Rows are BF16 or FP8. The products take BF16 queries, BF16 rows
// (an FP8 row is one exactly) and probabilities rounded to BF16; sums, maxima and weights are F32.
//
// All heads share the keys, so that one sequence's queries times heads are the rows of the products, 64 of
// them a block. A sequence is cut every `rows_per_split` rows; blocks of a sequence of one piece write the
// result, those of a longer one leave sums, maximum and weight in the workspace, where a second
// kernel merges them in ascending order. The cuts lie at the same rows whatever the sequence's
// length, and a piece that a query does not see leaves its bits alone: a query's result depends on the
// rows that it sees and on nothing else in the call, later drafts of its own sequence included.
//
// What lies in a page behind the sequence's rows may be anything, NaN included.
//
// Not yet run on a card.
#pragma once

#include <driver_types.h>

#include "hadal/kernels/latent_layout.h"

namespace hadal::cuda {

// [token, head, column] in device memory: columns are adjacent, strides in elements. REQUIRES data and
// strides of queries to be multiples of 16 bytes, those of results of 8 bytes.
template <class T>
struct TokenHeads {
  T* data = nullptr;
  int64_t token_stride = 0, head_stride = 0;
};

// All pointers are of the device.
struct LatentDecode {
  TokenHeads<const bf16> q_latent, q_rope;  // [n_tokens, n_heads, 512], [n_tokens, n_heads, 64]
  // One of the two, [n_tokens, n_heads, 512]; tokens of no sequence are left alone.
  TokenHeads<float> o_f32;
  TokenHeads<bf16> o_bf16;
  int64_t n_tokens = 0, n_heads = 0;

  LatentForm form = LatentForm::kBF16;  // kBF16 or kFp8
  const std::byte* pages = nullptr;     // n_pages of 64 rows; a multiple of 16 bytes
  int64_t n_pages = 0;

  // A sequence s: n_queries[s] tokens from first_query[s] on, which belong to the last of its n_rows[s]
  // rows. REQUIRES n_queries[s] <= max_queries, n_queries[s] <= n_rows[s] and
  // pages_for(n_rows[s]) <= max_pages; a sequence without queries has no part in the call.
  int64_t n_sequences = 0, max_queries = 1, max_pages = 0;
  const int32_t* page_table = nullptr;  // [n_sequences, max_pages]: ids
  const int32_t* n_rows = nullptr;      // [n_sequences]
  const int32_t* first_query = nullptr;
  const int32_t* n_queries = nullptr;

  float scale = 0;             // > 0
  int64_t rows_per_split = 0;  // a multiple of 64; 0: latent_decode_rows_per_split(n_heads)
  void* workspace = nullptr;   // 16-byte aligned
  int64_t workspace_bytes = 0;
};

// Merging costs 4 KiB per head and piece where reading a row costs 1152 bytes: the more heads, the longer
// the pieces. Never by the batch, which would change bits.
inline int64_t latent_decode_rows_per_split(int64_t n_heads) { return n_heads <= 64 ? 1024 : 2048; }

// What `call` needs; 0 where max_pages are one piece.
int64_t latent_decode_workspace_bytes(const LatentDecode& call);

// Throws ShapeError for a call that breaks the above as far as the host can see, Unavailable if the
// launch fails. The grid depends on the call's sizes alone, so that a captured graph may be replayed
// with other tables and counts in the same memory.
void latent_decode(const LatentDecode& call, cudaStream_t stream);

}  // namespace hadal::cuda
