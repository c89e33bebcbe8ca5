// Three warpgroups a block, one block an SM. `scores` multiplies queries with a page's keys, keeps the
// running softmax and sums the left 256 columns of the result; `right` sums the other 256; the third
// fetches pages (latent_decode_pages.cuh). Per page j:
//
//   scores:  [S(j+1) = Q K(j+1)^T | left += P(j) V(j)]  softmax(j+1) beside the second  -> P(j+1)
//   right:                          right += P(j) V(j)
//
// so that the tensor cores have work while the softmax is computed. K(j) and V(j) are the same tile. The
// queries' tile and two pages fill shared memory; a page's right part is free before its left, and the
// next S begins with the right part, so that its refill has time.

#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda/hopper/latent_decode.h"
#include "hadal/kernels/cuda/hopper/latent_decode_products.cuh"
#include "hadal/kernels/cuda/hopper/tensor_map.h"

namespace hadal::cuda {
namespace {

using namespace decode;

constexpr int kThreads = 384;
constexpr int kHalfWidth = kLatentWidth / 2;

int64_t n_splits(const LatentDecode& call) {
  return ceil_div(call.max_pages * kPageRows, call.rows_per_split);
}

// In the workspace, for each query times head and piece: the sums [512], then behind all of them the
// maximum (of scores times scale, base 2) and the weight.
struct Partial {
  float* sums;
  float2* weights;

  __host__ __device__ Partial(void* workspace, int64_t count)
      : sums(static_cast<float*>(workspace)),
        weights(reinterpret_cast<float2*>(sums + count * kLatentWidth)) {}
};
__host__ __device__ inline int64_t partial_count(const LatentDecode& call, int64_t splits) {
  return call.n_tokens * call.n_heads * splits;
}

// What a block works on.
struct Task {
  int first_query, n_rows, n_queries;  // of the sequence
  int first_row;                       // of the tile: among queries times heads
  int n_tile_rows;                     // of the tile, 1..64
  int split_begin;                     // first cached row of the piece
  bool whole;                          // the sequence is one piece

  // How many of the piece's rows tile row r sees; may be negative.
  __device__ int visible(int r, int n_heads) const {
    const int query = min((first_row + r) / n_heads, n_queries - 1);
    return n_rows - n_queries + query + 1 - split_begin;
  }
};

__device__ inline void store_pair(const LatentDecode& call, int64_t token, int head, int column,
                                  float a, float b) {
  if (call.o_f32.data != nullptr) {
    float* to = call.o_f32.data + token * call.o_f32.token_stride + head * call.o_f32.head_stride;
    *reinterpret_cast<float2*>(to + column) = float2{a, b};
  } else {
    bf16* to = call.o_bf16.data + token * call.o_bf16.token_stride + head * call.o_bf16.head_stride;
    *reinterpret_cast<uint32_t*>(to + column) = pack_bf16(a, b);
  }
}

// Queries of the tile to shared memory, zeros for rows that are none. By the two warpgroups that multiply.
__device__ inline void load_queries(const LatentDecode& call, const Task& task,
                                    const Shared& shared, int thread) {
  constexpr int kPieces = (kLatentWidth + kRopeWidth) / 8;
#pragma unroll 6
  for (int unit = thread; unit < kRows * kPieces; unit += 256) {
    const int row = unit / kPieces, piece = unit % kPieces;
    uint4 values{0, 0, 0, 0};
    if (row < task.n_tile_rows) {
      const int query = (task.first_row + row) / static_cast<int>(call.n_heads);
      const int head = task.first_row + row - query * static_cast<int>(call.n_heads);
      const int64_t token = task.first_query + query;
      const bool latent = piece < kLatentWidth / 8;
      const TokenHeads<const bf16>& q = latent ? call.q_latent : call.q_rope;
      const bf16* from = q.data + token * q.token_stride + head * q.head_stride;
      values = __ldg(reinterpret_cast<const uint4*>(from) + (latent ? piece : piece - 64));
    }
    store_shared(
        shared.queries() + (piece >> 3) * kBlockBytes + BlockRows::piece_at(row, piece & 7),
        values);
  }
  fence_async();
}

// The half result of a warpgroup: to the output where the sequence is one piece, else to the workspace.
__device__ inline void store_result(const float (&o)[128], const LatentDecode& call,
                                    const Task& task, int64_t splits, const float (&total)[2],
                                    int part, int thread) {
  const int first_column = (part == kRight ? kHalfWidth : 0) + 2 * (thread & 3);
  const Partial partial(call.workspace, partial_count(call, splits));
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int r = first_tile_row(thread) + 8 * h;
    if (r >= task.n_tile_rows) continue;
    if (task.whole) {
      const int query = (task.first_row + r) / static_cast<int>(call.n_heads);
      const int head = task.first_row + r - query * static_cast<int>(call.n_heads);
      const float inverse = 1 / total[h];
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        store_pair(call, task.first_query + query, head, first_column + 8 * i,
                   o[4 * i + 2 * h] * inverse, o[4 * i + 2 * h + 1] * inverse);
      }
    } else {
      const int64_t at =
          (task.first_query * call.n_heads + task.first_row + r) * splits + blockIdx.y;
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        *reinterpret_cast<float2*>(partial.sums + at * kLatentWidth + first_column + 8 * i) =
            float2{o[4 * i + 2 * h], o[4 * i + 2 * h + 1]};
      }
    }
  }
}

// --- the two warpgroups ---------------------------------------------------------------------------------

__device__ inline void multiply_sync() { named_wait(1, 256); }

__device__ inline void free_part(uint32_t barrier, int thread) {
  __syncwarp();
  if ((thread & 31) == 0) barrier_arrive(barrier);
}

// x, at a time when the sums are computed: no sum is this NaN, but the compiler does not know.
__device__ inline int known_after(int x, const float (&sum)[2]) {
  const bool never = (__float_as_uint(sum[0]) & __float_as_uint(sum[1])) == 0xFFFFFFFF;
  return never ? x ^ 1 : x;
}

__device__ inline void scores_and_left(const LatentDecode& call, const Task& task,
                                       const Piece& piece, const Shared& shared, int64_t splits,
                                       int thread) {
  const int n_heads = static_cast<int>(call.n_heads);
  const float scale_log2 = call.scale * 1.44269504088896340736F;
  const int row = first_tile_row(thread);
  const int visible[2] = {task.visible(row, n_heads), task.visible(row + 8, n_heads)};
  const int fewest_visible = task.visible(0, n_heads);  // later rows see as many or more

  float o[128], s[32];
#pragma unroll
  for (float& x : o) x = 0;
#pragma unroll
  for (float& x : s) x = 0;
  Softmax softmax;

  const auto begin_scores = [&](int page) {
    const int buffer = page & 1, parity = page >> 1 & 1;
    barrier_wait_endless(shared.full(buffer, kRight), parity);
    products_fence();
    add_scores<kRight>(s, shared, buffer);
    barrier_wait_endless(shared.full(buffer, kLeft), parity);
    add_scores<kLeft>(s, shared, buffer);
    products_commit();
  };
  const auto to_probabilities = [&](int page) {
    hold(s);
    const int limit[2] = {visible[0] - page * kRows, visible[1] - page * kRows};
    softmax.add_page(s, scale_log2, (page + 1) * kRows > fewest_visible, limit, thread);
  };

  const auto begin_values = [&](int page) {
    barrier_wait_endless(shared.probabilities_full(), page & 1);  // the whole warpgroup's
    products_fence();
    add_values<kLeft>(o, shared, page & 1);
    products_commit();
  };

  begin_scores(0);
  products_wait<0>();
  to_probabilities(0);
  store_probabilities(s, softmax, shared, thread);
  const int last = piece.n_pages - 1;
  for (int page = 0; page < last; ++page) {
    begin_scores(page + 1);
    begin_values(page);
    products_wait<1>();
    to_probabilities(page + 1);
    // Tied to the sums: else the exponentials would be computed behind the wait for the product, not beside it.
    barrier_wait_endless(shared.probabilities_empty(), known_after(page & 1, softmax.sum));
    products_wait<0>();
    hold(o);
    free_part(shared.empty(page & 1, kLeft), thread);
    store_probabilities(s, softmax, shared, thread);
    scale_rows(o, softmax.factor[0], softmax.factor[1]);
  }
  begin_values(last);
  products_wait<0>();
  hold(o);

  softmax.finish();
  if ((thread & 3) == 0) {
    store_shared(shared.row_totals() + 4 * row, __float_as_uint(softmax.sum[0]));
    store_shared(shared.row_totals() + 4 * (row + 8), __float_as_uint(softmax.sum[1]));
    if (!task.whole) {
      const Partial partial(call.workspace, partial_count(call, splits));
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int r = row + 8 * h;
        if (r >= task.n_tile_rows) continue;
        partial
            .weights[(task.first_query * call.n_heads + task.first_row + r) * splits + blockIdx.y] =
            float2{softmax.max[h], softmax.sum[h]};
      }
    }
  }
  multiply_sync();
  store_result(o, call, task, splits, softmax.sum, kLeft, thread);
}

__device__ inline void right(const LatentDecode& call, const Task& task, const Piece& piece,
                             const Shared& shared, int64_t splits, int thread) {
  const int row = first_tile_row(thread);
  float o[128];
#pragma unroll
  for (float& x : o) x = 0;
  for (int page = 0; page < piece.n_pages; ++page) {
    const int buffer = page & 1;
    barrier_wait_endless(shared.probabilities_full(), page & 1);
    barrier_wait_endless(shared.full(buffer, kRight),
                         page >> 1 & 1);  // over already; orders the data
    {
      scale_rows(o, load_shared(shared.row_factors() + 4 * row),
                 load_shared(shared.row_factors() + 4 * (row + 8)));
    }
    products_fence();
    add_values<kRight>(o, shared, buffer);
    products_commit();
    products_wait<0>();
    hold(o);
    free_part(shared.probabilities_empty(), thread);
    free_part(shared.empty(buffer, kRight), thread);
  }
  multiply_sync();
  const float total[2] = {load_shared(shared.row_totals() + 4 * row),
                          load_shared(shared.row_totals() + 4 * (row + 8))};
  store_result(o, call, task, splits, total, kRight, thread);
}

template <bool kFp8>
__global__ void __launch_bounds__(kThreads, 1)
    decode_pieces(const __grid_constant__ CUtensorMap map,
                  const __grid_constant__ LatentDecode call) {
  extern __shared__ __align__(1024) unsigned char memory[];
  const int sequence = blockIdx.z, n_heads = static_cast<int>(call.n_heads);
  const int rows_per_split = static_cast<int>(call.rows_per_split);
  Task task;
  task.first_query = call.first_query[sequence];
  task.n_rows = call.n_rows[sequence];
  task.n_queries = call.n_queries[sequence];
  task.first_row = blockIdx.x * kRows;
  task.n_tile_rows = min(kRows, task.n_queries * n_heads - task.first_row);
  task.split_begin = blockIdx.y * rows_per_split;
  task.whole = task.n_rows <= rows_per_split;
  if (task.n_tile_rows <= 0 || task.split_begin >= task.n_rows) return;

  Piece piece;
  piece.pages = call.page_table + sequence * call.max_pages + task.split_begin / kRows;
  piece.n_rows = min(rows_per_split, task.n_rows - task.split_begin);
  piece.n_pages = (piece.n_rows + kRows - 1) / kRows;

  const Shared shared{shared_address(memory)};
  if (threadIdx.x == 0) {
    for (int buffer = 0; buffer < 2; ++buffer) {
      for (int part = kRight; part <= kLeft; ++part) {
        barrier_init(shared.full(buffer, part), 1);
        barrier_init(shared.empty(buffer, part), 4);
      }
    }
    barrier_init(shared.probabilities_full(), 128);
    barrier_init(shared.probabilities_empty(), 4);
    barrier_init(shared.last_page(kRight), 1);
    barrier_init(shared.last_page(kLeft), 1);
    barrier_init_done();
    if (!kFp8) prefetch_map(&map);
  }
  __syncthreads();

  // Converting FP8 takes registers that the copy engine does without.
  const int group = threadIdx.x / 128, thread = threadIdx.x % 128;
  constexpr int kMultiply = kFp8 ? 192 : 232, kFetch = kFp8 ? 120 : 40;
  static_assert(2 * kMultiply + kFetch == 3 * 168);  // what three warpgroups start with
  if (group == 0) {
    take_registers<kMultiply>();
    load_queries(call, task, shared, threadIdx.x);
    multiply_sync();
    scores_and_left(call, task, piece, shared, gridDim.y, thread);
  } else if (group == 1) {
    take_registers<kMultiply>();
    load_queries(call, task, shared, threadIdx.x);
    multiply_sync();
    right(call, task, piece, shared, gridDim.y, thread);
  } else {
    give_registers<kFetch>();
    if constexpr (kFp8) {
      fetch_fp8(shared, call.pages, piece, thread);
    } else {
      fetch_bf16(shared, &map, piece, thread);
    }
  }
}

// A block merges the pieces of one query and head, four columns a thread.
__global__ void __launch_bounds__(128)
    merge_pieces(const __grid_constant__ LatentDecode call, int64_t splits) {
  const int sequence = blockIdx.y, n_heads = static_cast<int>(call.n_heads);
  const int row = blockIdx.x, n_rows = call.n_rows[sequence];
  if (row >= call.n_queries[sequence] * n_heads || n_rows <= call.rows_per_split) return;
  const int n_pieces = static_cast<int>((n_rows + call.rows_per_split - 1) / call.rows_per_split);
  const Partial partial(call.workspace, partial_count(call, splits));
  const int64_t first = (int64_t{call.first_query[sequence]} * n_heads + row) * splits;

  float top = kNothing;
  for (int i = 0; i < n_pieces; ++i) top = fmaxf(top, partial.weights[first + i].x);
  float total = 0;
  float4 sum{0, 0, 0, 0};
  bool any = false;
  for (int i = 0; i < n_pieces; ++i) {
    const float2 weight = partial.weights[first + i];
    if (weight.x == kNothing) continue;  // the query sees none of it
    const float factor = exp2_fast(weight.x - top);
    const float4 o =
        reinterpret_cast<const float4*>(partial.sums + (first + i) * kLatentWidth)[threadIdx.x];
    // The first is taken as it is, so that one piece alone gives the bits that it has when it is whole.
    total = any ? __fmaf_rn(factor, weight.y, total) : factor * weight.y;
    sum.x = any ? __fmaf_rn(factor, o.x, sum.x) : factor * o.x;
    sum.y = any ? __fmaf_rn(factor, o.y, sum.y) : factor * o.y;
    sum.z = any ? __fmaf_rn(factor, o.z, sum.z) : factor * o.z;
    sum.w = any ? __fmaf_rn(factor, o.w, sum.w) : factor * o.w;
    any = true;
  }
  const float inverse = 1 / total;
  const int64_t token = call.first_query[sequence] + row / n_heads;
  const int head = row % n_heads, column = 4 * static_cast<int>(threadIdx.x);
  store_pair(call, token, head, column, sum.x * inverse, sum.y * inverse);
  store_pair(call, token, head, column + 2, sum.z * inverse, sum.w * inverse);
}

// --- host ---------------------------------------------------------------------------------------------

// All BF16 rows as one matrix [64 n_pages, 576], read in boxes of a tile's block.
CUtensorMap map_rows(const LatentDecode& call) {
  constexpr int64_t kWidth = kLatentWidth + kRopeWidth;
  return tensor_map(call.pages, {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                                 2,
                                 2,
                                 {kWidth, call.n_pages * kPageRows, 1},
                                 {1, kWidth, 0},
                                 {64, kRows, 1},
                                 128});
}

bool aligned(const void* pointer, size_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

void expect(bool holds, const char* what) {
  if (!holds) throw ShapeError(concat("latent_decode: ", what));
}

template <class T>
bool fits(const TokenHeads<T>& x, int64_t bytes) {
  const int64_t elements = bytes / static_cast<int64_t>(sizeof(T));
  return x.data != nullptr && aligned(x.data, static_cast<size_t>(bytes)) &&
         x.token_stride % elements == 0 && x.head_stride % elements == 0;
}

LatentDecode checked(LatentDecode call) {
  if (call.rows_per_split == 0) call.rows_per_split = latent_decode_rows_per_split(call.n_heads);
  expect(call.form == LatentForm::kBF16 || call.form == LatentForm::kFp8, "rows are BF16 or FP8");
  expect(fits(call.q_latent, 16) && fits(call.q_rope, 16), "queries are multiples of 16 bytes");
  expect((call.o_f32.data == nullptr) != (call.o_bf16.data == nullptr), "one output, not two");
  expect(call.o_f32.data == nullptr || fits(call.o_f32, 8), "results are multiples of 8 bytes");
  expect(call.o_bf16.data == nullptr || fits(call.o_bf16, 8), "results are multiples of 8 bytes");
  expect(call.pages != nullptr && aligned(call.pages, 16), "pages are multiples of 16 bytes");
  expect(call.rows_per_split > 0 && call.rows_per_split % kPageRows == 0,
         "rows_per_split is a multiple of 64");
  expect(call.n_heads > 0 && call.max_queries > 0 && call.max_pages > 0, "an extent is 0");
  expect(call.scale > 0, "scale is positive");
  // Counts of rows are int in the kernels; y and z of a grid have 16 bits.
  expect(call.max_pages <= int64_t{1} << 24 && call.n_pages <= int64_t{1} << 24, "too many pages");
  expect(call.n_sequences < 65536 && n_splits(call) < 65536, "too many sequences or pieces");
  expect(call.max_queries * call.n_heads <= int64_t{1} << 24, "too many queries");
  return call;
}

template <bool kFp8>
void launch(const LatentDecode& call, const CUtensorMap& map, cudaStream_t stream) {
  check(cudaFuncSetAttribute(decode_pieces<kFp8>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             Shared::kBytes),
        "latent_decode");
  const dim3 grid(static_cast<unsigned>(ceil_div(call.max_queries * call.n_heads, int64_t{kRows})),
                  static_cast<unsigned>(n_splits(call)), static_cast<unsigned>(call.n_sequences));
  decode_pieces<kFp8><<<grid, kThreads, Shared::kBytes, stream>>>(map, call);
  launched("latent_decode");
}

}  // namespace

int64_t latent_decode_workspace_bytes(const LatentDecode& given) {
  LatentDecode call = given;
  if (call.rows_per_split == 0) call.rows_per_split = latent_decode_rows_per_split(call.n_heads);
  const int64_t splits = n_splits(call);
  if (splits <= 1) return 0;
  return partial_count(call, splits) * (kLatentWidth + 2) * static_cast<int64_t>(sizeof(float));
}

void latent_decode(const LatentDecode& given, cudaStream_t stream) {
  if (given.n_sequences == 0 || given.n_tokens == 0) return;
  const LatentDecode call = checked(given);
  expect(call.workspace_bytes >= latent_decode_workspace_bytes(call) && aligned(call.workspace, 16),
         "the workspace is too small");
  if (call.form == LatentForm::kFp8) {
    launch<true>(call, CUtensorMap{}, stream);
  } else {
    launch<false>(call, map_rows(call), stream);
  }
  if (n_splits(call) == 1) return;
  const dim3 grid(static_cast<unsigned>(call.max_queries * call.n_heads),
                  static_cast<unsigned>(call.n_sequences));
  merge_pieces<<<grid, 128, 0, stream>>>(call, n_splits(call));
  launched("latent_decode");
}

}  // namespace hadal::cuda
