// kernels/cuda/hopper/flash_attention_backward.cuh: the kernel of attention's backward: one pass over the
// scores, five products, nothing formed twice. Not yet run on a card.
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
#pragma once

#include "hadal/kernels/cuda/hopper/flash_attention_tiles.cuh"

namespace hadal::cuda::flash {

inline constexpr int kKeys = 128, kRows = 64, kStages = 2;
inline constexpr int kThreads = 384, kConsumerWarps = 8;

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

struct KeyTile {
  int sequence, head, unit, begin, length, block;  // block: of 128 keys; negative: nothing here
};

struct Barriers {
  uint64_t kv_full, q_full[kStages], q_empty[kStages], do_full[kStages], do_empty[kStages];
  uint64_t turn, added;  // dQ: it is this block's turn to add; the warps have added
  KeyTile tile;          // read from here when needed: registers are scarce
};

// What comes per row beside Q and dO.
struct RowValues {
  float lse_log2[kStages][kRows], delta[kStages][kRows];
};

// Rows of a sequence in lse_log2 and delta begin at a multiple of 64, and no two sequences share 64.
__host__ __device__ inline int64_t padded_row(int64_t offset, int64_t sequence) {
  return (offset + sequence * kRows) / kRows * kRows;
}

__device__ inline KeyTile tile_at(const BackwardArgs& a, int ticket) {
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
  barrier_expect(&barriers.kv_full, K::kBytes + Tiles::V::kBytes);
#pragma unroll
  for (int chunk = 0; chunk < K::kChunks; ++chunk) {
    const int at = chunk * K::Chunk;
    load_box(panels + static_cast<uint32_t>(chunk) * K::kChunkBytes,
             at < W::kNope ? &maps.k_nope : &maps.k_rope, &barriers.kv_full,
             at < W::kNope ? column + at : at - W::kNope, key);
  }
  Tiles::V::load(panels + K::kBytes, &maps.v, column + W::kNope, key, &barriers.kv_full);
  const int64_t padded = tile.head * a.padded + padded_row(tile.begin, tile.sequence);
  const int row_blocks = (tile.length + kRows - 1) / kRows;
  Ring<kStages> ring;
#pragma unroll 1
  for (int block = tile.block * (kKeys / kRows); block < row_blocks; ++block) {
    const uint32_t stage = ring.stage;
    const int row = block * kRows;
    barrier_wait_bounded(&barriers.q_empty[stage], ring.parity ^ 1);
    barrier_expect(&barriers.q_full[stage], Tiles::Q::kBytes + sizeof values.lse_log2[0]);
    Tiles::Q::load(panels + Tiles::kQs + stage * Tiles::Q::kBytes, &maps.q, tile.head * W::kQk,
                   tile.begin + row, &barriers.q_full[stage]);
    load_bytes(values.lse_log2[stage], a.lse_log2 + padded + row, sizeof values.lse_log2[0],
               &barriers.q_full[stage]);
    barrier_wait_bounded(&barriers.do_empty[stage], ring.parity ^ 1);
    barrier_expect(&barriers.do_full[stage], Tiles::DO::kBytes + sizeof values.delta[0]);
    Tiles::DO::load(panels + Tiles::kDOs + stage * Tiles::DO::kBytes, &maps.d_o, tile.head * W::kV,
                    tile.begin + row, &barriers.do_full[stage]);
    load_bytes(values.delta[stage], a.delta + padded + row, sizeof values.delta[0],
               &barriers.do_full[stage]);
    ring.advance();
  }
}

// Lets the warpgroups add to 64 rows of dQ when those before have, and says so to those behind.
__device__ inline void keep_order(const BackwardArgs& a, const KeyTile& tile, Barriers& barriers) {
  int* const added = a.added + int64_t{tile.unit} * a.row_blocks;
  const int row_blocks = (tile.length + kRows - 1) / kRows;
  uint32_t parity = 0;
#pragma unroll 1
  for (int block = tile.block * (kKeys / kRows); block < row_blocks; ++block) {
    const int before = block / (kKeys / kRows) - tile.block;
    for (uint32_t tries = 0; load_acquire(added + block) < before; ++tries)
      if (tries > kWaitTries) __trap();
    barrier_arrive(&barriers.turn);
    barrier_wait_bounded(&barriers.added, parity);
    parity ^= 1;
    __threadfence();
    store_release(added + block, before + 1);
  }
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
    for (int j = 0; j < Pairs; ++j) add_in_l2(sum + 8 * j, make_float2(x(j), y(j)));
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
  const uint32_t ds_piece = DS::Box::piece_at(warp_row + lane % 16, lane / 16);
  const float scale_log2 = a.scale * kLog2E;
  const int first_block = tile.block * (kKeys / kRows);
  const int row_blocks = (tile.length + kRows - 1) / kRows;
  const auto leave = [&](uint64_t* barrier) {
    if (lane == 0) barrier_arrive(barrier);
  };
  float dk[W::kQk / 2], dv[W::kV / 2];
#pragma unroll
  for (float& x : dk) x = 0.0F;
#pragma unroll
  for (float& x : dv) x = 0.0F;
  Ring<kStages> ring;
  uint32_t turn_parity = 0, ds_buffer = k + Tiles::kDSs;
  barrier_wait_bounded(&barriers.kv_full, 0);
  // Rows past the sequence's end are a neighbour's. Their probabilities are 0, but 0 times what is there may
  // be NaN: they become zeros.
  if (tile.length - tile.block * kKeys < kKeys) {
    const int both = static_cast<int>(threadIdx.x) - 128;  // among both warpgroups
    K::clear_from(k, tile.length - tile.block * kKeys, both, 256);
    V::clear_from(v, tile.length - tile.block * kKeys, both, 256);
    fence_async();
    named_wait(2, 256);
  }
#pragma unroll 1
  for (int block = first_block; block < row_blocks; ++block) {
    const uint32_t stage = ring.stage;
    const uint32_t q = k + Tiles::kQs + stage * Q::kBytes;
    const uint32_t d_o = k + Tiles::kDOs + stage * DO::kBytes;
    float s[kRows / 2], dp[kRows / 2];
    barrier_wait_bounded(&barriers.q_full[stage], ring.parity);
    if (tile.length - block * kRows < kRows) {
      const int both = static_cast<int>(threadIdx.x) - 128;
      barrier_wait_bounded(&barriers.do_full[stage], ring.parity);
      Q::clear_from(q, tile.length - block * kRows, both, 256);
      DO::clear_from(d_o, tile.length - block * kRows, both, 256);
      fence_async();
      named_wait(2, 256);
    }
    products_fence();
#pragma unroll
    for (int step = 0; step < W::kQk / 16; ++step)
      product_bf16<false, false>(s, K::by_columns(k, step, group * 64), Q::by_columns(q, step),
                                 step > 0);
    products_commit();
    products_wait<0>();
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
    barrier_wait_bounded(&barriers.do_full[stage], ring.parity);
    products_fence();
#pragma unroll
    for (int step = 0; step < W::kV / 16; ++step)
      product_bf16<false, false>(dp, V::by_columns(v, step, group * 64), DO::by_columns(d_o, step),
                                 step > 0);
    products_commit();
    hold(p);
    products_fence();
#pragma unroll
    for (int step = 0; step < kRows / 16; ++step)
      product_bf16<true>(dv, p[4 * step], p[4 * step + 1], p[4 * step + 2], p[4 * step + 3],
                         DO::by_rows(d_o, step), true);
    products_commit();
    products_wait<1>();
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
      store_matrices((ds_buffer + ds_piece) ^ static_cast<uint32_t>(32 * step), ds[4 * step],
                     ds[4 * step + 1], ds[4 * step + 2], ds[4 * step + 3]);
    fence_async();
    products_wait<0>();
    hold(dv);
    hold(p);
    leave(&barriers.do_empty[stage]);
    // Both halves of dS are there. Two buffers: nobody writes one again before all have come here once
    // more, which they do with their products of it done.
    named_wait(1, 256);
    float dq[W::kQk / 4];
    products_fence();
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step)
      product_bf16<true, true>(dq, DS::by_rows(ds_buffer, step),
                               K::by_rows(k, step, group * (K::kChunks / 2)), step > 0);
    products_commit();
    products_fence();
#pragma unroll
    for (int step = 0; step < kRows / 16; ++step)
      product_bf16<false, true>(dk, DS::by_columns(ds_buffer, step, group * 64),
                                Q::by_rows(q, step), true);
    products_commit();
    products_wait<1>();
    hold(dq);
    barrier_wait_bounded(&barriers.turn, turn_parity);
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
    products_wait<0>();
    hold(dk);
    leave(&barriers.q_empty[stage]);
    ds_buffer = 2 * (k + Tiles::kDSs) + DS::kBytes - ds_buffer;
    ring.advance();
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
    barrier_init_done();
    fence_async();
    barriers.tile = tile_at(a, atomicAdd(a.ticket, 1));
  }
  __syncthreads();
  const KeyTile& tile = barriers.tile;
  if (tile.block < 0) return;
  if (group == 0) {
    give_registers<24>();
    if (threadIdx.x == 0) bring_tiles<W>(maps, a, tile, panels, values, barriers);
    if (threadIdx.x == 32) keep_order(a, tile, barriers);
  } else {
    take_registers<240>();
    differentiate<W>(a, tile, dq, dkv, shared_address(panels), values, barriers, group - 1);
  }
}

}  // namespace hadal::cuda::flash
