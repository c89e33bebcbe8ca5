// Backward in one pass over the scores: five products, nothing formed twice. Not yet run on a card.
//
//   P = exp(scale * Q K^T - lse)   dV = P^T dO   dP = dO V^T   dS = P * (dP - delta)
//   dQ = scale * dS K              dK = scale * dS^T Q         delta = rowsum(dO * O)
//
// A block owns 128 keys of a head, two warpgroups of 64 each, and goes over the query rows that see them,
// 64 at a time, from the diagonal to the end. Everything is formed transposed, [keys, rows]: P^T and dS^T
// are then A operands straight from registers for dV and dK, which stay in registers to the end. dS goes
// through shared memory once, for dQ, of which each warpgroup forms half the columns from all 128 keys.
//
// dQ is a sum over blocks of keys, added up in global memory in one order, whatever the timing: the keys at
// the diagonal first, then towards the beginning. A counter per 64 rows says how many have added. Blocks take
// their keys in that order too, by a ticket, so that whom a block waits for has always begun; and since a
// block starts at its own diagonal, it comes to each row one step after its predecessor and hardly waits.
#include <algorithm>

#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda/hopper/flash_attention.h"
#include "hadal/kernels/cuda/hopper/flash_attention_maps.h"
#include "hadal/kernels/cuda/hopper/flash_attention_tiles.cuh"

namespace hadal::cuda {
namespace flash {
namespace {

constexpr int kKeys = 128, kRows = 64, kStages = 2;
constexpr int kThreads = 384, kConsumerWarps = 8;
constexpr float kLog2E = 1.4426950408889634F;

template <class W>
struct BackwardTiles {
  // The halves of dQ's columns must be whole chunks of K, so must its parts.
  using K = Panel<kKeys, W::kQk, W::kQk % 64 == 0 ? 32 : 16>;
  using V = Panel<kKeys, W::kV, 64>;
  using Q = Panel<kRows, W::kQk, W::kQk % 64 == 0 ? 64 : 32>;
  using DO = Panel<kRows, W::kV, 64>;
  using DS = Panel<kKeys, kRows, 64>;
  static_assert(W::kNope % K::Chunk == 0 && W::kQk / 2 % K::Chunk == 0);
  static constexpr uint32_t kQs = K::kBytes + V::kBytes, kDOs = kQs + kStages * Q::kBytes;
  static constexpr uint32_t kDSs = kDOs + kStages * DO::kBytes, kPanels = kDSs + 2 * DS::kBytes;
};

struct BackwardMaps {
  CUtensorMap q, k_nope, k_rope, v, d_o;
};

struct BackwardArgs {
  const int64_t* offsets;
  const float *lse_log2, *delta;  // [H, padded]
  float* dq_sum;                  // [T, H, d_qk]
  float* head_dk_rope;            // [H, T, d_rope]
  int *ticket, *added;            // [1], [units, row_blocks]; 0 before the launch
  int64_t n_tokens, padded;
  int n_heads, n_units;  // units: heads of all sequences
  int tiles_per_unit, row_blocks, group;
  float scale;
};

struct Barriers {
  uint64_t kv_full, q_full[kStages], q_empty[kStages], do_full[kStages], do_empty[kStages];
  uint64_t turn, added;  // dQ: it is this block's turn to add; the warps have added
  int ticket;
};

// What comes per row beside Q and dO.
struct RowValues {
  float lse_log2[kStages][kRows], delta[kStages][kRows];
};

// Rows of a sequence in lse_log2 and delta begin at a multiple of 64, and no two sequences share 64.
__host__ __device__ inline int64_t padded_row(int64_t offset, int64_t sequence) {
  return (offset + sequence * kRows) / kRows * kRows;
}

struct KeyTile {
  int sequence, head, unit, begin, length, block;  // block: of 128 keys; negative: nothing here
};

__device__ KeyTile tile_at(const BackwardArgs& a, int ticket) {
  const int per_group = a.group * a.tiles_per_unit;
  const int group = ticket / per_group, rest = ticket % per_group;
  const int units = min(a.group, a.n_units - group * a.group);
  KeyTile tile;
  tile.unit = group * a.group + rest % units;
  tile.sequence = tile.unit / a.n_heads;
  tile.head = tile.unit % a.n_heads;
  tile.begin = static_cast<int>(a.offsets[tile.sequence]);
  tile.length = static_cast<int>(a.offsets[tile.sequence + 1]) - tile.begin;
  tile.block = (tile.length + kKeys - 1) / kKeys - 1 - rest / units;
  return tile;
}

template <class W>
__device__ void bring_tiles(const BackwardMaps& maps, const BackwardArgs& a, const KeyTile& tile,
                            uint8_t* panels, RowValues& values, Barriers& barriers) {
  using Tiles = BackwardTiles<W>;
  using K = typename Tiles::K;
  const int key = tile.begin + tile.block * kKeys, column = tile.head * W::kKv;
  arrive_expecting(&barriers.kv_full, K::kBytes + Tiles::V::kBytes);
#pragma unroll
  for (int chunk = 0; chunk < K::kChunks; ++chunk) {
    const int at = chunk * K::Chunk;
    load_box(panels + static_cast<uint32_t>(chunk) * K::kChunkBytes,
             at < W::kNope ? &maps.k_nope : &maps.k_rope,
             at < W::kNope ? column + at : at - W::kNope, key, &barriers.kv_full);
  }
  Tiles::V::load(panels + K::kBytes, &maps.v, column + W::kNope, key, &barriers.kv_full);
  const int64_t padded = tile.head * a.padded + padded_row(tile.begin, tile.sequence);
  const int row_blocks = (tile.length + kRows - 1) / kRows;
  Ring<kStages> ring;
#pragma unroll 1
  for (int block = tile.block * (kKeys / kRows); block < row_blocks; ++block) {
    const uint32_t stage = ring.stage;
    const int row = block * kRows;
    wait(&barriers.q_empty[stage], ring.parity ^ 1);
    arrive_expecting(&barriers.q_full[stage], Tiles::Q::kBytes + sizeof values.lse_log2[0]);
    Tiles::Q::load(panels + Tiles::kQs + stage * Tiles::Q::kBytes, &maps.q, tile.head * W::kQk,
                   tile.begin + row, &barriers.q_full[stage]);
    load_bytes(values.lse_log2[stage], a.lse_log2 + padded + row, sizeof values.lse_log2[0],
               &barriers.q_full[stage]);
    wait(&barriers.do_empty[stage], ring.parity ^ 1);
    arrive_expecting(&barriers.do_full[stage], Tiles::DO::kBytes + sizeof values.delta[0]);
    Tiles::DO::load(panels + Tiles::kDOs + stage * Tiles::DO::kBytes, &maps.d_o, tile.head * W::kV,
                    tile.begin + row, &barriers.do_full[stage]);
    load_bytes(values.delta[stage], a.delta + padded + row, sizeof values.delta[0],
               &barriers.do_full[stage]);
    ring.next();
  }
}

// Lets the warpgroups add to 64 rows of dQ when those before have, and says so to those behind.
__device__ void keep_order(const BackwardArgs& a, const KeyTile& tile, Barriers& barriers) {
  int* const added = a.added + int64_t{tile.unit} * a.row_blocks;
  const int row_blocks = (tile.length + kRows - 1) / kRows;
  uint32_t parity = 0;
#pragma unroll 1
  for (int block = tile.block * (kKeys / kRows); block < row_blocks; ++block) {
    const int before = block / (kKeys / kRows) - tile.block;
    int count = 0;
    for (uint32_t tries = 0;; ++tries) {
      asm volatile("ld.acquire.gpu.global.s32 %0, [%1];"
                   : "=r"(count)
                   : "l"(added + block)
                   : "memory");
      if (count >= before) break;
      if (tries > kPatience) asm volatile("trap;");
    }
    arrive(&barriers.turn);
    wait(&barriers.added, parity);
    parity ^= 1;
    __threadfence();
    asm volatile("st.release.gpu.global.s32 [%0], %1;" ::"l"(added + block), "r"(before + 1)
                 : "memory");
  }
}

__device__ inline void add_pair(float* to, float x, float y) {
  asm volatile("red.relaxed.gpu.global.add.v2.f32 [%0], {%1, %2};" ::"l"(to), "f"(x), "f"(y)
               : "memory");
}
__device__ inline void store_pair(float* to, float x, float y) {
  *reinterpret_cast<float2*>(to) = make_float2(x, y);
}
__device__ inline void store_pair(bf16* to, float x, float y) {
  *reinterpret_cast<uint32_t*>(to) = pack_bf16(x, y);
}

// One block's part of a row of dQ, `Pairs` times two columns, 8 apart. The first of a row's blocks finds
// nothing there; the last writes the result where the sum is not itself the result.
template <int Pairs, int Count, class Out>
__device__ inline void add_dq(float* sum, Out* dq, bool first, bool last,
                              const float (&part)[Count], int r, float scale) {
  const auto x = [&](int j) { return part[4 * j + 2 * r] * scale; };
  const auto y = [&](int j) { return part[4 * j + 2 * r + 1] * scale; };
  if (sizeof(Out) == sizeof(bf16) && last) {
#pragma unroll
    for (int j = 0; j < Pairs; ++j) {
      float2 before = make_float2(0.0F, 0.0F);
      if (!first) before = __ldcg(reinterpret_cast<const float2*>(sum + 8 * j));
      store_pair(dq + 8 * j, before.x + x(j), before.y + y(j));
    }
  } else if (first) {
#pragma unroll
    for (int j = 0; j < Pairs; ++j) store_pair(sum + 8 * j, x(j), y(j));
  } else {
#pragma unroll
    for (int j = 0; j < Pairs; ++j) add_pair(sum + 8 * j, x(j), y(j));
  }
}

template <class W, class Out>
__device__ void differentiate(const BackwardArgs& a, const KeyTile& tile, Out* dq_out, Out* dkv,
                              uint32_t k, RowValues& values, Barriers& barriers, int group) {
  using Tiles = BackwardTiles<W>;
  using K = typename Tiles::K;
  using Q = typename Tiles::Q;
  using V = typename Tiles::V;
  using DO = typename Tiles::DO;
  using DS = typename Tiles::DS;
  const uint32_t v = k + K::kBytes;
  const int thread = static_cast<int>(threadIdx.x) % 128, lane = thread % 32;
  const int warp_row = group * 64 + thread / 32 * 16;  // of the key tile, and of dS
  const int key = warp_row + lane / 4, column = lane % 4 * 2;
  // Where this lane stores rows of dS; two pieces further is an exchange of bits in an aligned row.
  const uint32_t ds_piece = DS::piece_at(0, warp_row + lane % 16, lane / 16);
  const float scale_log2 = a.scale * kLog2E;
  const int first_block = tile.block * (kKeys / kRows);
  const int row_blocks = (tile.length + kRows - 1) / kRows;
  const auto leave = [&](uint64_t* barrier) {
    if (lane == 0) arrive(barrier);
  };
  float dk[W::kQk / 2], dv[W::kV / 2];
#pragma unroll
  for (float& x : dk) x = 0.0F;
#pragma unroll
  for (float& x : dv) x = 0.0F;
  Ring<kStages> ring;
  uint32_t turn_parity = 0, ds_buffer = k + Tiles::kDSs;
  wait(&barriers.kv_full, 0);
#pragma unroll 1
  for (int block = first_block; block < row_blocks; ++block) {
    const uint32_t stage = ring.stage;
    const uint32_t q = k + Tiles::kQs + stage * Q::kBytes;
    const uint32_t d_o = k + Tiles::kDOs + stage * DO::kBytes;
    float s[kRows / 2], dp[kRows / 2];
    wait(&barriers.q_full[stage], ring.parity);
    product_fence();
#pragma unroll
    for (int step = 0; step < W::kQk / 16; ++step)
      product<0, 0>(s, K::by_columns(k, step, group * 64), Q::by_columns(q, step), step > 0);
    product_commit();
    product_wait<0>();
    hold(s);
    // Key and row count from the same beginning. Rows past the sequence's end have an infinite lse.
    const int ahead = (block - first_block) * kRows;
    if (ahead < kKeys) {
#pragma unroll
      for (int j = 0; j < kRows / 8; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (key + i / 2 * 8 > 8 * j + column + i % 2 + ahead) s[4 * j + i] = -INFINITY;
    }
    uint32_t p[kRows / 4];
#pragma unroll
    for (int j = 0; j < kRows / 8; ++j) {
      const float2 lse = *reinterpret_cast<const float2*>(&values.lse_log2[stage][8 * j + column]);
#pragma unroll
      for (int r = 0; r < 2; ++r)
        p[2 * j + r] = pack_bf16(exp2_fast(fmaf(s[4 * j + 2 * r], scale_log2, -lse.x)),
                                 exp2_fast(fmaf(s[4 * j + 2 * r + 1], scale_log2, -lse.y)));
    }
    wait(&barriers.do_full[stage], ring.parity);
    product_fence();
#pragma unroll
    for (int step = 0; step < W::kV / 16; ++step)
      product<0, 0>(dp, V::by_columns(v, step, group * 64), DO::by_columns(d_o, step), step > 0);
    product_commit();
    hold(p);
    product_fence();
#pragma unroll
    for (int step = 0; step < kRows / 16; ++step)
      product<1>(dv, p[4 * step], p[4 * step + 1], p[4 * step + 2], p[4 * step + 3],
                 DO::by_rows(d_o, step), true);
    product_commit();
    product_wait<1>();
    hold(dp);
    uint32_t ds[kRows / 4];
#pragma unroll
    for (int j = 0; j < kRows / 8; ++j) {
      const float2 delta = *reinterpret_cast<const float2*>(&values.delta[stage][8 * j + column]);
#pragma unroll
      for (int r = 0; r < 2; ++r)
        ds[2 * j + r] = pack_bf16(lower_bf16(p[2 * j + r]) * (dp[4 * j + 2 * r] - delta.x),
                                  upper_bf16(p[2 * j + r]) * (dp[4 * j + 2 * r + 1] - delta.y));
    }
#pragma unroll
    for (int step = 0; step < kRows / 16; ++step)
      store_tiles((ds_buffer + ds_piece) ^ static_cast<uint32_t>(32 * step), ds[4 * step],
                  ds[4 * step + 1], ds[4 * step + 2], ds[4 * step + 3]);
    fence_for_async();
    product_wait<0>();
    hold(dv);
    hold(p);
    leave(&barriers.do_empty[stage]);
    // Both halves of dS are there. Two buffers: nobody writes one again before all have come here once
    // more, which they do with their products of it done.
    named_wait(1, 256);
    float dq[W::kQk / 4];
    product_fence();
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step)
      product<1, 1>(dq, DS::by_rows(ds_buffer, step), K::by_rows(k, step, group * (K::kChunks / 2)),
                    step > 0);
    product_commit();
    product_fence();
#pragma unroll
    for (int step = 0; step < kRows / 16; ++step)
      product<0, 1>(dk, DS::by_columns(ds_buffer, step, group * 64), Q::by_rows(q, step), true);
    product_commit();
    product_wait<1>();
    hold(dq);
    wait(&barriers.turn, turn_parity);
    turn_parity ^= 1;
    const bool first = block / (kKeys / kRows) == tile.block, last = tile.block == 0;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = block * kRows + thread / 32 * 16 + lane / 4 + 8 * r;
      if (row >= tile.length) continue;
      const int64_t at = ((int64_t{tile.begin} + row) * a.n_heads + tile.head) * W::kQk +
                         group * (W::kQk / 2) + column;
      add_dq<W::kQk / 16>(a.dq_sum + at, dq_out + at, first, last, dq, r, a.scale);
    }
    __syncwarp();
    leave(&barriers.added);
    product_wait<0>();
    hold(dk);
    leave(&barriers.q_empty[stage]);
    ds_buffer = 2 * (k + Tiles::kDSs) + DS::kBytes - ds_buffer;
    ring.next();
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = tile.block * kKeys + key + 8 * r;
    if (row >= tile.length) continue;
    const int64_t token = int64_t{tile.begin} + row;
    Out* const dk_out = dkv + (token * a.n_heads + tile.head) * W::kKv + column;
    float* const rope = a.head_dk_rope + (tile.head * a.n_tokens + token) * W::kRope + column;
#pragma unroll
    for (int j = 0; j < W::kQk / 8; ++j) {
      const float x = dk[4 * j + 2 * r] * a.scale, y = dk[4 * j + 2 * r + 1] * a.scale;
      if (8 * j < W::kNope)
        store_pair(dk_out + 8 * j, x, y);
      else
        store_pair(rope + 8 * j - W::kNope, x, y);
    }
#pragma unroll
    for (int j = 0; j < W::kV / 8; ++j)
      store_pair(dk_out + W::kNope + 8 * j, dv[4 * j + 2 * r], dv[4 * j + 2 * r + 1]);
  }
}

template <class W, class Out>
__global__ void __launch_bounds__(kThreads, 1)
    backward_kernel(const __grid_constant__ BackwardMaps maps, const BackwardArgs a, Out* dq,
                    Out* dkv) {
  extern __shared__ uint8_t shared[];
  __shared__ Barriers barriers;
  __shared__ alignas(16) RowValues values;
  uint8_t* const panels = shared + (1024 - shared_address(shared) % 1024) % 1024;
  const int group = __shfl_sync(0xffffffffU, static_cast<int>(threadIdx.x) / 128, 0);
  if (threadIdx.x == 0) {
    barrier_init(&barriers.kv_full, 1);
    barrier_init(&barriers.turn, 1);
    barrier_init(&barriers.added, kConsumerWarps);
    for (int i = 0; i < kStages; ++i) {
      barrier_init(&barriers.q_full[i], 1);
      barrier_init(&barriers.do_full[i], 1);
      barrier_init(&barriers.q_empty[i], kConsumerWarps);
      barrier_init(&barriers.do_empty[i], kConsumerWarps);
    }
    barriers_ready();
    barriers.ticket = atomicAdd(a.ticket, 1);
  }
  __syncthreads();
  const KeyTile tile = tile_at(a, barriers.ticket);
  if (tile.block < 0) return;
  if (group == 0) {
    registers_down<24>();
    if (threadIdx.x == 0) bring_tiles<W>(maps, a, tile, panels, values, barriers);
    if (threadIdx.x == 32) keep_order(a, tile, barriers);
  } else {
    registers_up<240>();
    differentiate<W>(a, tile, dq, dkv, shared_address(panels), values, barriers, group - 1);
  }
}

// A warp per row of a head: delta = o . d_o, and lse in units of log 2. Rows that fill up a sequence's
// last 64 get probabilities of 0.
template <int DV>
__global__ void row_values(float* lse_log2, float* delta, const bf16* o, const bf16* d_o,
                           const float* lse, const int64_t* offsets, int64_t padded) {
  constexpr int kPairs = DV / 64;  // a lane's
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t head = blockIdx.y, heads = gridDim.y, sequence = blockIdx.z;
  const int64_t begin = offsets[sequence], length = offsets[sequence + 1] - begin;
  const int64_t block = int64_t{blockIdx.x} * kRows;
  if (block >= length) return;
  for (int64_t row = block + warp; row < block + kRows; row += blockDim.x / 32) {
    float sum = 0.0F, log_sum = INFINITY;
    if (row < length) {
      const int64_t at = (begin + row) * heads + head;
      const auto* const x = reinterpret_cast<const uint32_t*>(o + at * DV) + lane;
      const auto* const y = reinterpret_cast<const uint32_t*>(d_o + at * DV) + lane;
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        const uint32_t a = x[32 * i], b = y[32 * i];
        sum = fmaf(lower_bf16(a), lower_bf16(b), sum);
        sum = fmaf(upper_bf16(a), upper_bf16(b), sum);
      }
      log_sum = lse[at] * kLog2E;
    }
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, apart);
    if (lane == 0) {
      const int64_t to = head * padded + padded_row(begin, sequence) + row;
      lse_log2[to] = log_sum;
      delta[to] = sum;
    }
  }
}

// dk_rope[i] = sum of the heads' parts in ascending order, four values a thread.
__global__ void sum_heads(float4* dk_rope, const float4* head_dk_rope, int64_t count, int heads) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float4 sum = head_dk_rope[i];
#pragma unroll 8
  for (int head = 1; head < heads; ++head) {
    const float4 x = head_dk_rope[head * count + i];
    sum = make_float4(sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w);
  }
  dk_rope[i] = sum;
}

// Offsets in the workspace, in bytes.
struct BackwardWorkspace {
  size_t counters = 0, lse_log2, delta, head_dk_rope, dq_sum, bytes;
  size_t counter_bytes;
  int64_t padded, row_blocks;
};

BackwardWorkspace workspace_of(const FlashSequences& s, const FlashDims& dims) {
  const auto up = [](int64_t bytes) { return static_cast<size_t>((bytes + 255) / 256 * 256); };
  BackwardWorkspace w;
  w.row_blocks = (s.max_length + kRows - 1) / kRows;
  w.padded = padded_row(s.n_tokens, s.count);
  w.counter_bytes = up((1 + s.count * dims.n_heads * w.row_blocks) * 4);
  w.lse_log2 = w.counter_bytes;
  w.delta = w.lse_log2 + up(dims.n_heads * w.padded * 4);
  w.head_dk_rope = w.delta + up(dims.n_heads * w.padded * 4);
  w.dq_sum = w.head_dk_rope + up(dims.n_heads * s.n_tokens * dims.d_rope * 4);
  w.bytes = w.dq_sum + up(s.n_tokens * dims.n_heads * (dims.d_nope + dims.d_rope) * 4);
  return w;
}

template <class W, class Out>
void launch(cudaStream_t stream, Out* dq, Out* dkv, float* dk_rope, const bf16* d_o, const bf16* q,
            const bf16* kv, const bf16* k_rope, const bf16* o, const float* lse,
            const FlashSequences& sequences, const FlashDims& dims, float scale, void* workspace) {
  using Tiles = BackwardTiles<W>;
  const int64_t T = sequences.n_tokens, H = dims.n_heads;
  const BackwardWorkspace w = workspace_of(sequences, dims);
  auto* const base = static_cast<uint8_t*>(workspace);
  const auto floats = [&](size_t at) { return reinterpret_cast<float*>(base + at); };

  check(cudaMemsetAsync(base, 0, w.counter_bytes, stream), "attention's counters");
  const dim3 rows(static_cast<unsigned>(w.row_blocks), static_cast<unsigned>(H),
                  static_cast<unsigned>(sequences.count));
  row_values<W::kV><<<rows, 256, 0, stream>>>(floats(w.lse_log2), floats(w.delta), o, d_o, lse,
                                              sequences.offsets, w.padded);
  launched("attention backward, row values");

  const BackwardMaps maps{
      box_map(q, T, H * W::kQk, kRows, Tiles::Q::Chunk),
      box_map(kv, T, H * W::kKv, kKeys, Tiles::K::Chunk),
      box_map(k_rope, T, W::kRope, kKeys, Tiles::K::Chunk),
      box_map(kv, T, H * W::kKv, kKeys, Tiles::V::Chunk),
      box_map(d_o, T, H * W::kV, kRows, Tiles::DO::Chunk),
  };
  BackwardArgs a{};
  a.offsets = sequences.offsets;
  a.lse_log2 = floats(w.lse_log2);
  a.delta = floats(w.delta);
  if constexpr (sizeof(Out) == sizeof(float))
    a.dq_sum = dq;
  else
    a.dq_sum = floats(w.dq_sum);
  a.head_dk_rope = floats(w.head_dk_rope);
  a.ticket = reinterpret_cast<int*>(base);
  a.added = a.ticket + 1;
  a.n_tokens = T;
  a.padded = w.padded;
  a.n_heads = static_cast<int>(H);
  a.n_units = static_cast<int>(sequences.count * H);
  a.tiles_per_unit = static_cast<int>((sequences.max_length + kKeys - 1) / kKeys);
  a.row_blocks = static_cast<int>(w.row_blocks);
  // Heads at work at a time: enough to fill the card, few enough for the L2 cache.
  a.group = std::clamp(128 / a.tiles_per_unit, 1, a.n_units);
  a.scale = scale;
  constexpr int kShared = static_cast<int>(Tiles::kPanels) + 1024;  // begins at a multiple of 1024
  static const bool prepared = [] {
    check(cudaFuncSetAttribute(backward_kernel<W, Out>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               kShared),
          "shared memory of attention");
    return true;
  }();
  static_cast<void>(prepared);
  backward_kernel<W>
      <<<static_cast<unsigned>(a.n_units * a.tiles_per_unit), kThreads, kShared, stream>>>(maps, a,
                                                                                           dq, dkv);
  launched("attention backward");

  const int64_t quarters = T * W::kRope / 4;
  sum_heads<<<static_cast<unsigned>((quarters + 255) / 256), 256, 0, stream>>>(
      reinterpret_cast<float4*>(dk_rope), reinterpret_cast<const float4*>(a.head_dk_rope), quarters,
      static_cast<int>(H));
  launched("attention backward, rotary keys");
}

template <class Out>
void backward(cudaStream_t stream, Out* dq, Out* dkv, float* dk_rope, const bf16* d_o,
              const bf16* q, const bf16* kv, const bf16* k_rope, const bf16* o, const float* lse,
              const FlashSequences& sequences, const FlashDims& dims, float scale,
              void* workspace) {
  expect_supported(dims);
  if (sequences.n_tokens == 0) return;
  const auto with = [&]<class W>(W) {
    launch<W>(stream, dq, dkv, dk_rope, d_o, q, kv, k_rope, o, lse, sequences, dims, scale,
              workspace);
  };
  if (dims.d_nope == 128)
    with(Widths<128, 64, 128>{});
  else
    with(Widths<64, 32, 64>{});
}

}  // namespace
}  // namespace flash

size_t flash_attention_backward_workspace(const FlashSequences& sequences, const FlashDims& dims) {
  return flash::workspace_of(sequences, dims).bytes;
}

void flash_attention_backward(cudaStream_t stream, bf16* dq, bf16* dkv, float* dk_rope,
                              const bf16* d_o, const bf16* q, const bf16* kv, const bf16* k_rope,
                              const bf16* o, const float* lse, const FlashSequences& sequences,
                              const FlashDims& dims, float scale, void* workspace) {
  flash::backward(stream, dq, dkv, dk_rope, d_o, q, kv, k_rope, o, lse, sequences, dims, scale,
                  workspace);
}

void flash_attention_backward(cudaStream_t stream, float* dq, float* dkv, float* dk_rope,
                              const bf16* d_o, const bf16* q, const bf16* kv, const bf16* k_rope,
                              const bf16* o, const float* lse, const FlashSequences& sequences,
                              const FlashDims& dims, float scale, void* workspace) {
  flash::backward(stream, dq, dkv, dk_rope, d_o, q, kv, k_rope, o, lse, sequences, dims, scale,
                  workspace);
}

}  // namespace hadal::cuda
