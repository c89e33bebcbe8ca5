// Forward: a block works through tiles of 128 query rows of one head, two warpgroups of 64 rows each,
// while a third brings K and V. Not yet run on a card.
//
// A warpgroup starts the scores of the next key block before it multiplies this block's probabilities
// with V, so that the softmax of one runs beside products of the other; the two warpgroups take turns
// in starting products, so that one's softmax runs beside the other's products (FlashAttention-3,
// arXiv:2407.08608). Key blocks go from the diagonal to the beginning: only the first needs a mask.
#include <algorithm>

#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda/hopper/flash_attention_tiles.cuh"

namespace hadal::cuda {
namespace flash {
namespace {

constexpr int kRows = 128, kKeys = 128, kStages = 2;
constexpr int kConsumers = 2, kThreads = 128 * (kConsumers + 1);
constexpr int kConsumerWarps = 4 * kConsumers;

constexpr int chunk_of(int columns) { return columns < 64 ? columns : 64; }

template <class W>
struct ForwardTiles {
  using QNope = Panel<kRows, W::kNope, chunk_of(W::kNope)>;
  using QRope = Panel<kRows, W::kRope, chunk_of(W::kRope)>;
  using KNope = Panel<kKeys, W::kNope, chunk_of(W::kNope)>;
  using KRope = Panel<kKeys, W::kRope, chunk_of(W::kRope)>;
  using V = Panel<kKeys, W::kV, chunk_of(W::kV)>;
  static constexpr uint32_t kQ = QNope::kBytes + QRope::kBytes;
  static constexpr uint32_t kK = KNope::kBytes + KRope::kBytes;
  static constexpr uint32_t kPanels = kQ + kStages * (kK + V::kBytes);
};

struct ForwardMaps {
  CUtensorMap q_nope, q_rope, k_nope, k_rope, v;
};

struct ForwardArgs {
  float* lse;
  const int64_t* offsets;
  int* next_tile;        // 0 before the launch
  int n_heads, n_units;  // units: heads of all sequences
  int tiles_per_unit;    // of the longest sequence
  int group;             // units whose keys and values fit into the L2 cache together
  float scale;
};

struct Barriers {
  uint64_t q_full, q_empty, k_full[kStages], k_empty[kStages], v_full[kStages], v_empty[kStages];
  int tile;
};

// A tile: 128 rows of a head from row `first` of the sequence on.
struct Tile {
  int head, begin, length, first;  // begin: the sequence's first row of all
};

// Tiles are numbered so that neighbours share keys and the long ones (late rows) come first.
__device__ Tile tile_at(const ForwardArgs& a, int index) {
  const int per_group = a.group * a.tiles_per_unit;
  const int group = index / per_group, rest = index % per_group;
  const int units = min(a.group, a.n_units - group * a.group);
  const int unit = group * a.group + rest % units, back = rest / units;
  const int sequence = unit / a.n_heads;
  Tile tile;
  tile.head = unit % a.n_heads;
  tile.begin = static_cast<int>(a.offsets[sequence]);
  tile.length = static_cast<int>(a.offsets[sequence + 1]) - tile.begin;
  tile.first = ((tile.length + kRows - 1) / kRows - 1 - back) * kRows;  // negative: nothing here
  return tile;
}

template <class W>
__device__ void bring_tiles(const ForwardMaps& maps, const ForwardArgs& a, uint8_t* panels,
                            Barriers& barriers) {
  using Tiles = ForwardTiles<W>;
  uint8_t* const q = panels;
  uint8_t* const k = panels + Tiles::kQ;
  uint8_t* const v = k + kStages * Tiles::kK;
  Ring<kStages> k_ring, v_ring;
  uint32_t q_parity = 0;
  const int n_tiles = a.n_units * a.tiles_per_unit;
  for (;;) {
    int index = atomicAdd(a.next_tile, 1);
    Tile tile{};
    while (index < n_tiles && (tile = tile_at(a, index)).first < 0)
      index = atomicAdd(a.next_tile, 1);
    barrier_wait_bounded(&barriers.q_empty, q_parity ^ 1);
    q_parity ^= 1;
    barriers.tile = index < n_tiles ? index : -1;
    if (index >= n_tiles) {
      barrier_arrive(&barriers.q_full);
      return;
    }
    barrier_expect(&barriers.q_full, Tiles::kQ);
    const int q_column = tile.head * W::kQk, kv_column = tile.head * W::kKv;
    Tiles::QNope::load(q, &maps.q_nope, q_column, tile.begin + tile.first, &barriers.q_full);
    Tiles::QRope::load(q + Tiles::QNope::kBytes, &maps.q_rope, q_column + W::kNope,
                       tile.begin + tile.first, &barriers.q_full);
    const auto bring_k = [&](int block) {
      uint64_t* full = &barriers.k_full[k_ring.stage];
      uint8_t* to = k + k_ring.stage * Tiles::kK;
      barrier_wait_bounded(&barriers.k_empty[k_ring.stage], k_ring.parity ^ 1);
      barrier_expect(full, Tiles::kK);
      const int row = tile.begin + block * kKeys;
      Tiles::KNope::load(to, &maps.k_nope, kv_column, row, full);
      Tiles::KRope::load(to + Tiles::KNope::kBytes, &maps.k_rope, 0, row, full);
      k_ring.advance();
    };
    const auto bring_v = [&](int block) {
      uint64_t* full = &barriers.v_full[v_ring.stage];
      barrier_wait_bounded(&barriers.v_empty[v_ring.stage], v_ring.parity ^ 1);
      barrier_expect(full, Tiles::V::kBytes);
      Tiles::V::load(v + v_ring.stage * Tiles::V::kBytes, &maps.v, kv_column + W::kNope,
                     tile.begin + block * kKeys, full);
      v_ring.advance();
    };
    const int last = tile.first / kKeys;
    bring_k(last);  // in the order in which they are used
#pragma unroll 1
    for (int block = last - 1; block >= 0; --block) {
      bring_k(block);
      bring_v(block + 1);
    }
    bring_v(0);
  }
}

// The largest, or the sum, of what the four threads of a row have.
__device__ inline float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffU, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffU, x, 2));
}
__device__ inline float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffU, x, 1);
  return x + __shfl_xor_sync(0xffffffffU, x, 2);
}

// Two rows of a thread: r = 0, 1.
struct Softmax {
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0F, 0.0F};

  // Scores become probabilities relative to the largest so far; `shrink` is what earlier ones lose.
  __device__ void step(float (&s)[kKeys / 2], float (&shrink)[2], float scale_log2) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float top = s[2 * r];
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
        top = fmaxf(top, fmaxf(s[4 * j + 2 * r], s[4 * j + 2 * r + 1]));
      top = fmaxf(largest[r], row_max(top));
      shrink[r] = exp2_fast((largest[r] - top) * scale_log2);
      largest[r] = top;
      const float shift = -top * scale_log2;
      float part[2] = {0.0F, 0.0F};
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int b = 0; b < 2; ++b) {
          float& x = s[4 * j + 2 * r + b];
          x = exp2_fast(fmaf(x, scale_log2, shift));
          part[b] += x;
        }
      sum[r] = fmaf(sum[r], shrink[r], part[0] + part[1]);
    }
  }
};

template <class W, class Out>
__device__ void attend(const ForwardArgs& a, Out* o, uint32_t panels, Barriers& barriers,
                       int group) {
  using Tiles = ForwardTiles<W>;
  const uint32_t q = panels, k = panels + Tiles::kQ, v = k + kStages * Tiles::kK;
  const int thread = static_cast<int>(threadIdx.x) % 128, lane = thread % 32;
  const int row = group * 64 + thread / 32 * 16 + lane / 4;  // of the tile; the other is row + 8
  const int column = lane % 4 * 2;
  const float scale_log2 = a.scale * kLog2E;
  const uint32_t my_turn = 1 + static_cast<uint32_t>(group),
                 other_turn = 2 - static_cast<uint32_t>(group);
  const auto leave = [&](uint64_t* barrier) {
    if (lane == 0) barrier_arrive(barrier);
  };
  if (group == 1) named_arrive(other_turn, 256);  // the first warpgroup begins
  Ring<kStages> k_ring, v_ring;
  uint32_t q_parity = 0;
  float s[kKeys / 2], acc[W::kV / 2];
  uint32_t p[kKeys / 4];
  const auto start_scores = [&] {
    const uint32_t block = k + k_ring.stage * Tiles::kK;
    products_fence();
#pragma unroll
    for (int step = 0; step < W::kNope / 16; ++step)
      product_bf16<false, false>(s, Tiles::QNope::by_columns(q, step, group * 64),
                                 Tiles::KNope::by_columns(block, step), step > 0);
#pragma unroll
    for (int step = 0; step < W::kRope / 16; ++step)
      product_bf16<false, false>(
          s, Tiles::QRope::by_columns(q + Tiles::QNope::kBytes, step, group * 64),
          Tiles::KRope::by_columns(block + Tiles::KNope::kBytes, step), true);
    products_commit();
  };
  const auto start_values = [&] {
    const uint32_t block = v + v_ring.stage * Tiles::V::kBytes;
    hold(p);
    products_fence();
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step)
      product_bf16<true>(acc, p[4 * step], p[4 * step + 1], p[4 * step + 2], p[4 * step + 3],
                         Tiles::V::by_rows(block, step), true);
    products_commit();
  };
  const auto pack = [&] {
#pragma unroll
    for (int i = 0; i < kKeys / 4; ++i) p[i] = pack_bf16(s[2 * i], s[2 * i + 1]);
  };
  for (;;) {
    barrier_wait_bounded(&barriers.q_full, q_parity);
    q_parity ^= 1;
    const int index = barriers.tile;
    if (index < 0) return;
    const Tile tile = tile_at(a, index);
    const int last = tile.first / kKeys;
    Softmax softmax;
    float shrink[2];
#pragma unroll
    for (float& x : acc) x = 0.0F;

    barrier_wait_bounded(&barriers.k_full[k_ring.stage], k_ring.parity);
    named_wait(my_turn, 256);
    start_scores();
    named_arrive(other_turn, 256);
    products_wait<0>();
    hold(s);
    leave(&barriers.k_empty[k_ring.stage]);
    k_ring.advance();
    // Row and key count from the same beginning. Rows past the sequence's end see keys past it; what
    // they give is not stored.
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (8 * j + column + i % 2 > row + i / 2 * 8) s[4 * j + i] = -INFINITY;
    softmax.step(s, shrink, scale_log2);
    pack();
    if (tile.length - tile.first < kKeys) {
      // The first V of the tile goes past the sequence's end. Probabilities there are 0, but 0 times what a
      // neighbour has there may be NaN.
      barrier_wait_bounded(&barriers.v_full[v_ring.stage], v_ring.parity);
      Tiles::V::clear_from(v + v_ring.stage * Tiles::V::kBytes, tile.length - tile.first,
                           static_cast<int>(threadIdx.x) - 128, 256);
      fence_async();
      named_wait(3, 256);
    }
#pragma unroll 1
    for (int block = last - 1; block >= 0; --block) {
      barrier_wait_bounded(&barriers.k_full[k_ring.stage], k_ring.parity);
      named_wait(my_turn, 256);
      start_scores();
      barrier_wait_bounded(&barriers.v_full[v_ring.stage], v_ring.parity);
      start_values();
      named_arrive(other_turn, 256);
      products_wait<1>();
      hold(s);
      leave(&barriers.k_empty[k_ring.stage]);
      k_ring.advance();
      softmax.step(s, shrink, scale_log2);
      products_wait<0>();
      hold(acc);
      hold(p);
      leave(&barriers.v_empty[v_ring.stage]);
      v_ring.advance();
#pragma unroll
      for (int i = 0; i < W::kV / 2; ++i) acc[i] *= shrink[i / 2 % 2];
      pack();
    }
    leave(&barriers.q_empty);
    barrier_wait_bounded(&barriers.v_full[v_ring.stage], v_ring.parity);
    start_values();
    products_wait<0>();
    hold(acc);
    leave(&barriers.v_empty[v_ring.stage]);
    v_ring.advance();

#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float sum = row_sum(softmax.sum[r]), share = 1.0F / sum;
      if (tile.first + row + 8 * r >= tile.length) continue;
      const int64_t at = (int64_t{tile.begin} + tile.first + row + 8 * r) * a.n_heads + tile.head;
      if (lane % 4 == 0) a.lse[at] = fmaf(softmax.largest[r], a.scale, logf(sum));
#pragma unroll
      for (int j = 0; j < W::kV / 8; ++j)
        store_pair(o + at * W::kV + 8 * j + column, acc[4 * j + 2 * r] * share,
                   acc[4 * j + 2 * r + 1] * share);
    }
    __syncwarp();
  }
}

template <class W, class Out>
__global__ void __launch_bounds__(kThreads, 1)
    forward_kernel(const __grid_constant__ ForwardMaps maps, const ForwardArgs a, Out* o) {
  extern __shared__ uint8_t shared[];
  __shared__ Barriers barriers;
  uint8_t* const panels = shared + (1024 - shared_address(shared) % 1024) % 1024;
  const int group = __shfl_sync(0xffffffffU, static_cast<int>(threadIdx.x) / 128, 0);
  if (threadIdx.x == 0) {
    barrier_init(&barriers.q_full, 1);
    barrier_init(&barriers.q_empty, kConsumerWarps);
    for (int i = 0; i < kStages; ++i) {
      barrier_init(&barriers.k_full[i], 1);
      barrier_init(&barriers.v_full[i], 1);
      barrier_init(&barriers.k_empty[i], kConsumerWarps);
      barrier_init(&barriers.v_empty[i], kConsumerWarps);
    }
    barrier_init_done();
    fence_async();
  }
  __syncthreads();
  if (group == 0) {
    give_registers<24>();
    if (threadIdx.x == 0) bring_tiles<W>(maps, a, panels, barriers);
  } else {
    take_registers<240>();
    attend<W>(a, o, shared_address(panels), barriers, group - 1);
  }
}

template <class W, class Out>
void launch(cudaStream_t stream, Out* o, float* lse, const bf16* q, const bf16* kv,
            const bf16* k_rope, const FlashSequences& sequences, int64_t n_heads, float scale,
            void* workspace) {
  using Tiles = ForwardTiles<W>;
  const int64_t T = sequences.n_tokens;
  const ForwardMaps maps{
      Tiles::QNope::map(q, T, n_heads * W::kQk),  Tiles::QRope::map(q, T, n_heads * W::kQk),
      Tiles::KNope::map(kv, T, n_heads * W::kKv), Tiles::KRope::map(k_rope, T, W::kRope),
      Tiles::V::map(kv, T, n_heads * W::kKv),
  };
  constexpr int64_t kCached = int64_t{16}
                              << 20;  // bytes of K and V at work at a time, of 50 MB of L2
  const int64_t units = sequences.count * n_heads;
  const int64_t group =
      std::clamp<int64_t>(kCached / (sequences.max_length * W::kKv * 2), 1, units);
  ForwardArgs a{};
  a.lse = lse;
  a.offsets = sequences.offsets;
  a.next_tile = static_cast<int*>(workspace);
  a.n_heads = static_cast<int>(n_heads);
  a.n_units = static_cast<int>(units);
  a.tiles_per_unit = static_cast<int>((sequences.max_length + kRows - 1) / kRows);
  a.group = static_cast<int>(group);
  a.scale = scale;
  constexpr int kShared = static_cast<int>(Tiles::kPanels) + 1024;  // begins at a multiple of 1024
  static const int processors = [] {
    int device = 0, count = 0;
    check(cudaGetDevice(&device), "device");
    check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "processors");
    check(cudaFuncSetAttribute(forward_kernel<W, Out>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               kShared),
          "shared memory of attention");
    return count;
  }();
  const int64_t tiles = units * a.tiles_per_unit;
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(tiles, processors));
  check(cudaMemsetAsync(workspace, 0, sizeof(int), stream), "tile counter");
  forward_kernel<W><<<blocks, kThreads, kShared, stream>>>(maps, a, o);
  launched("attention forward");
}

template <class Out>
void forward(cudaStream_t stream, Out* o, float* lse, const bf16* q, const bf16* kv,
             const bf16* k_rope, const FlashSequences& sequences, const FlashDims& dims,
             float scale, void* workspace) {
  expect_supported(dims);
  if (sequences.n_tokens == 0) return;
  if (dims.d_nope == 128)
    launch<Widths<128, 64, 128>>(stream, o, lse, q, kv, k_rope, sequences, dims.n_heads, scale,
                                 workspace);
  else
    launch<Widths<64, 32, 64>>(stream, o, lse, q, kv, k_rope, sequences, dims.n_heads, scale,
                               workspace);
}

}  // namespace
}  // namespace flash

size_t flash_attention_forward_workspace() { return sizeof(int); }

void flash_attention_forward(cudaStream_t stream, bf16* o, float* lse, const bf16* q,
                             const bf16* kv, const bf16* k_rope, const FlashSequences& sequences,
                             const FlashDims& dims, float scale, void* workspace) {
  flash::forward(stream, o, lse, q, kv, k_rope, sequences, dims, scale, workspace);
}

void flash_attention_forward(cudaStream_t stream, float* o, float* lse, const bf16* q,
                             const bf16* kv, const bf16* k_rope, const FlashSequences& sequences,
                             const FlashDims& dims, float scale, void* workspace) {
  flash::forward(stream, o, lse, q, kv, k_rope, sequences, dims, scale, workspace);
}

}  // namespace hadal::cuda
