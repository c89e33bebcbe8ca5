// The balance loss of ops/router.h: blocks of 64 tokens of a sequence count and add, a block for each
// sequence adds these in order, then every token gets its gradient. Not yet run on a card.
#include "hadal/kernels/cuda/largest.h"
#include "hadal/kernels/router.h"

namespace hadal::cuda {
namespace {

constexpr int64_t kTokens = 64;  // of a block
constexpr int kThreads = 256;

struct Chunk {
  int64_t begin, end, sequence;  // rows
};

struct Settings {
  double alpha, loss_scale;  // alpha: of one sequence
  int64_t top_k;
  bool chosen;  // count the chosen ones, not the largest scores
};

__device__ double row_sum(View<const float, 2> scores, int64_t t, int lane) {
  double sum = 0.0;
  for (int64_t e = lane; e < scores.dim(1); e += kWarp) sum += double{scores(t, e)};
  return sum_warp(sum);
}

// Adds to counts [E] how often each expert is among the largest scores of the chunk's tokens, or chosen.
__device__ void count_experts(int* counts, unsigned* order, View<const float, 2> scores,
                              View<const int32_t, 2> indices, const Chunk& chunk,
                              const Settings& settings) {
  const int64_t E = scores.dim(1);
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp,
            n_warps = static_cast<int>(blockDim.x) / kWarp;
  for (int64_t t = chunk.begin + warp; t < chunk.end; t += n_warps) {
    if (settings.chosen) {
      for (int64_t k = lane; k < settings.top_k; k += kWarp) atomicAdd(&counts[indices(t, k)], 1);
      continue;
    }
    unsigned* const mine = order + warp * E;
    for (int64_t e = lane; e < E; e += kWarp) mine[e] = order_of(scores(t, e));
    take_largest(mine, E, settings.top_k, lane);
    for (int64_t e = lane; e < E; e += kWarp) {
      if (mine[e] == kTaken) atomicAdd(&counts[e], 1);
    }
  }
}

// counts and shares [n_chunks, E]; a share is sum_t s_e / sum_j s_j. Integers may be added in any order.
// Shared memory: E counts, and for every warp E orders.
__global__ void __launch_bounds__(kThreads)
    chunk_kernel(int* counts, double* shares, View<const float, 2> scores,
                 View<const int32_t, 2> indices, const Chunk* chunks, Settings settings) {
  HADAL_DYNAMIC_SHARED(int, shared);
  __shared__ double sums[kTokens];
  const Chunk chunk = chunks[blockIdx.x];
  const int64_t E = scores.dim(1);
  const int n_threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
  for (int64_t e = thread; e < E; e += n_threads) shared[e] = 0;
  for (int64_t i = thread / kWarp; i < chunk.end - chunk.begin; i += n_threads / kWarp) {
    const double sum = row_sum(scores, chunk.begin + i, thread % kWarp);
    if (thread % kWarp == 0) sums[i] = sum + 1e-20;
  }
  __syncthreads();
  count_experts(shared, reinterpret_cast<unsigned*>(shared + E), scores, indices, chunk, settings);
  __syncthreads();
  for (int64_t e = thread; e < E; e += n_threads) {
    double share = 0.0;
    for (int64_t t = chunk.begin; t < chunk.end; ++t) {
      share += double{scores(t, e)} / sums[t - chunk.begin];
    }
    counts[blockIdx.x * E + e] = shared[e];
    shares[blockIdx.x * E + e] = share;
  }
}

// losses [S], f [S, E]. Chunks of sequence s: first_chunks[s] and on.
__global__ void __launch_bounds__(kThreads)
    sequence_kernel(double* losses, double* f, const int* counts, const double* shares,
                    const int64_t* first_chunks, const int64_t* offsets, int64_t E,
                    Settings settings) {
  const int64_t s = blockIdx.x;
  const auto length = static_cast<double>(offsets[s + 1] - offsets[s]);
  double loss = 0.0;
  for (int64_t e = threadIdx.x; e < E; e += blockDim.x) {
    double count = 0.0, share = 0.0;
    for (int64_t chunk = first_chunks[s]; chunk < first_chunks[s + 1]; ++chunk) {
      count += counts[chunk * E + e];
      share += shares[chunk * E + e];
    }
    if (length == 0.0) continue;
    const double f_e =
        count * static_cast<double>(E) / (static_cast<double>(settings.top_k) * length);
    f[s * E + e] = f_e;
    loss += settings.alpha * f_e * (share / length);
  }
  loss = sum_block(loss);
  if (threadIdx.x == 0) losses[s] = loss;
}

// dscores [T, E] += loss_scale alpha / (L n) (f_e - sum_j f_j s_j / n), n = sum_j s_j.
__global__ void __launch_bounds__(kThreads)
    gradient_kernel(View<float, 2> dscores, View<const float, 2> scores, const double* f_of_all,
                    const Chunk* chunks, const int64_t* offsets, Settings settings) {
  const Chunk chunk = chunks[blockIdx.x];
  const int64_t E = scores.dim(1), s = chunk.sequence;
  const auto length = static_cast<double>(offsets[s + 1] - offsets[s]);
  const double* const f = f_of_all + s * E;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t t = chunk.begin + threadIdx.x / kWarp; t < chunk.end; t += kThreads / kWarp) {
    double f_dot_s = 0.0;
    for (int64_t e = lane; e < E; e += kWarp) f_dot_s += f[e] * double{scores(t, e)};
    f_dot_s = sum_warp(f_dot_s);
    const double n = row_sum(scores, t, lane) + 1e-20,
                 factor = settings.loss_scale * settings.alpha / (length * n);
    for (int64_t e = lane; e < E; e += kWarp) {
      dscores(t, e) += static_cast<float>(factor * (f[e] - f_dot_s / n));
    }
  }
}

}  // namespace

double sequence_balance_loss(Stream& stream, View<float, 2> dscores, View<const float, 2> scores,
                             View<const int32_t, 2> indices,
                             std::span<const int64_t> sequence_offsets, float alpha,
                             float loss_scale, BalanceCount count, int64_t top_k) {
  const auto S = static_cast<int64_t>(sequence_offsets.size()) - 1, E = scores.dim(1);
  std::vector<Chunk> chunks;
  std::vector<int64_t> first_chunks;
  for (int64_t s = 0; s < S; ++s) {
    first_chunks.push_back(std::ssize(chunks));
    const int64_t end = sequence_offsets[static_cast<size_t>(s) + 1];
    for (int64_t t = sequence_offsets[static_cast<size_t>(s)]; t < end; t += kTokens) {
      chunks.push_back({t, std::min(t + kTokens, end), s});
    }
  }
  first_chunks.push_back(std::ssize(chunks));
  if (chunks.empty()) return 0.0;

  OwnStream& card = own(stream);
  Tensor counts = Tensor::empty(card.scratch(), DType::kI32, {std::ssize(chunks), E});
  // Shares [chunks, E], f [S, E], losses [S].
  Tensor doubles =
      Tensor::empty(card.scratch(), DType::kU8, {8 * ((std::ssize(chunks) + S) * E + S)});
  auto* const shares = static_cast<double*>(doubles.raw());
  double* const f = shares + std::ssize(chunks) * E;
  double* const losses = f + S * E;
  auto* const n_counted = static_cast<int*>(counts.raw());
  const Chunk* const chunk_table = card.upload(std::span<const Chunk>(chunks));
  const int64_t* const first_table = card.upload(std::span<const int64_t>(first_chunks));
  const int64_t* const offsets = card.upload(sequence_offsets);
  const Settings settings{double{alpha} / static_cast<double>(S), double{loss_scale}, top_k,
                          count == BalanceCount::kChosen};

  Grid grid = block_each(std::ssize(chunks), kThreads);
  if (!settings.chosen && 4 * E * (kThreads / kWarp) > (64 << 10)) grid.threads = kWarp;
  grid.shared_bytes = 4 * E * (settings.chosen ? 1 : 1 + grid.threads / kWarp);
  launch("balance loss", chunk_kernel, grid, stream, n_counted, shares, scores, indices,
         chunk_table, settings);
  launch("balance loss", sequence_kernel, block_each(S, kThreads), stream, losses, f, n_counted,
         shares, first_table, offsets, E, settings);
  if (dscores.data() != nullptr) {
    launch("balance loss", gradient_kernel, block_each(std::ssize(chunks), kThreads), stream,
           dscores, scores, f, chunk_table, offsets, settings);
  }
  std::vector<double> of_sequences(static_cast<size_t>(S));
  card.download(std::span<double>(of_sequences), losses);
  double total = 0.0;
  for (const double loss : of_sequences) total += loss;
  return total;
}

}  // namespace hadal::cuda
