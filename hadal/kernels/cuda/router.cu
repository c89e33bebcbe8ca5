// The choice of experts: a warp for each token, the scores in F64 as in the reference, so that a score
// is the same float and a tie the same tie. Not yet run on a card.
#include "hadal/kernels/router.h"

#include "hadal/kernels/cuda/largest.h"

namespace hadal::cuda {
namespace {

// Warps of a block with `bytes` of shared memory each: as many as leave room for several blocks.
int warps_for(int64_t bytes) {
  return static_cast<int>(std::clamp<int64_t>((24 << 10) / std::max<int64_t>(bytes, 1), 1, 8));
}

struct Token {
  int64_t t;
  int lane, warp;
  __device__ static Token mine() {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    return {int64_t{blockIdx.x} * (blockDim.x / kWarp) + warp,
            static_cast<int>(threadIdx.x) % kWarp, warp};
  }
};

__device__ void score_row(View<float, 2> scores, View<const float, 2> logits, int64_t t, int lane,
                          bool softmax) {
  const int64_t E = logits.dim(1);
  if (!softmax) {
    for (int64_t e = lane; e < E; e += kWarp) {
      scores(t, e) = static_cast<float>(1.0 / (1.0 + exp(-double{logits(t, e)})));
    }
    return;
  }
  float largest = logits(t, 0);
  for (int64_t e = lane; e < E; e += kWarp) largest = Max{}(largest, logits(t, e));
  largest = reduce_warp(Max{}, largest);
  double sum = 0.0;
  for (int64_t e = lane; e < E; e += kWarp) sum += exp(double{logits(t, e)} - double{largest});
  sum = sum_warp(sum);
  for (int64_t e = lane; e < E; e += kWarp) {
    scores(t, e) = static_cast<float>(exp(double{logits(t, e)} - double{largest}) / sum);
  }
}

// Shared memory of a warp: the order of E experts, then of n_group groups.
__global__ void __launch_bounds__(256)
    route_kernel(View<int32_t, 2> indices, View<float, 2> gates, View<float, 2> scores,
                 View<const float, 2> logits, View<const float, 1> bias, RouterConfig config,
                 int64_t n_groups) {
  HADAL_DYNAMIC_SHARED(unsigned, shared);
  const auto [t, lane, warp] = Token::mine();
  const int64_t E = logits.dim(1);
  unsigned* const order = shared + warp * (E + n_groups);
  if (t >= logits.dim(0)) return;
  score_row(scores, logits, t, lane, config.scoring == ScoringFunction::kSoftmax);
  const bool biased = config.method == TopkMethod::kNoauxTc;
  for (int64_t e = lane; e < E; e += kWarp) {
    order[e] = order_of(biased ? scores(t, e) + bias(e) : scores(t, e));
  }
  if (n_groups > 0) keep_groups(order, E, order + E, n_groups, config.topk_group, biased, lane);
  take_largest(order, E, config.top_k, lane);

  double sum = 0.0;
  for (int64_t e = lane; e < E; e += kWarp) sum += order[e] == kTaken ? double{scores(t, e)} : 0.0;
  const double factor = config.norm_topk_prob
                            ? double{config.routed_scaling_factor} / (sum_warp(sum) + 1e-20)
                            : double{config.routed_scaling_factor};
  int n_before = 0;  // ascending: each chosen expert stands behind the chosen ones before it
  for (int64_t first = 0; first < E; first += kWarp) {
    const int64_t e = first + lane;
    const bool taken = e < E && order[e] == kTaken;
    const unsigned of_warp = __ballot_sync(0xFFFFFFFFU, taken);
    if (taken) {
      const int64_t k = n_before + __popc(of_warp & ((1U << lane) - 1));
      indices(t, k) = static_cast<int32_t>(e);
      gates(t, k) = static_cast<float>(double{scores(t, e)} * factor);
    }
    n_before += __popc(of_warp);
  }
}

// What dlogits needs of a token's chosen experts.
struct GateGradient {
  View<const float, 2> dgates, dscores_extra, scores;
  View<const int32_t, 2> indices;
  int64_t t;
  double scale = 0.0, mean = 0.0;  // dscore of a chosen one: scale * (dgate - mean)

  __device__ GateGradient(View<const float, 2> dgates_, View<const float, 2> dscores_extra_,
                          View<const float, 2> scores_, View<const int32_t, 2> indices_, int64_t t_,
                          const RouterConfig& config)
      : dgates(dgates_), dscores_extra(dscores_extra_), scores(scores_), indices(indices_), t(t_) {
    scale = double{config.routed_scaling_factor};
    if (!config.norm_topk_prob) return;
    double sum = 0.0, dgate_dot_score = 0.0;
    for (int64_t k = 0; k < indices.dim(1); ++k) {
      const double score = scores(t, indices(t, k));
      sum += score;
      dgate_dot_score += double{dgates(t, k)} * score;
    }
    const double n = sum + 1e-20;
    scale /= n;
    mean = dgate_dot_score / n;
  }
  __device__ double dscore(int64_t e) const {
    double result = dscores_extra.data() != nullptr ? double{dscores_extra(t, e)} : 0.0;
    for (int64_t k = 0; k < indices.dim(1); ++k) {
      if (indices(t, k) == e) result += scale * (double{dgates(t, k)} - mean);
    }
    return result;
  }
};

__global__ void __launch_bounds__(256)
    route_backward_kernel(View<float, 2> dlogits, View<const float, 2> dgates,
                          View<const float, 2> dscores_extra, View<const float, 2> scores,
                          View<const int32_t, 2> indices, RouterConfig config) {
  const auto [t, lane, warp] = Token::mine();
  const int64_t E = scores.dim(1);
  if (t >= scores.dim(0)) return;
  const GateGradient gradient(dgates, dscores_extra, scores, indices, t, config);
  if (config.scoring == ScoringFunction::kSigmoid) {
    for (int64_t e = lane; e < E; e += kWarp) {
      const double s = scores(t, e);
      dlogits(t, e) = static_cast<float>(gradient.dscore(e) * s * (1.0 - s));
    }
    return;
  }
  double dscore_dot_score = 0.0;
  for (int64_t e = lane; e < E; e += kWarp) {
    dscore_dot_score += gradient.dscore(e) * double{scores(t, e)};
  }
  dscore_dot_score = sum_warp(dscore_dot_score);
  for (int64_t e = lane; e < E; e += kWarp) {
    dlogits(t, e) =
        static_cast<float>(double{scores(t, e)} * (gradient.dscore(e) - dscore_dot_score));
  }
}

}  // namespace

void route_forward(Stream& stream, View<int32_t, 2> indices, View<float, 2> gates,
                   View<float, 2> scores, View<const float, 2> logits, View<const float, 1> bias,
                   const RouterConfig& config) {
  const int64_t E = logits.dim(1);
  const bool grouped = config.method != TopkMethod::kGreedy && config.n_group > 1;
  const int64_t n_groups = grouped ? config.n_group : 0, bytes = (E + n_groups) * 4;
  const int warps = warps_for(bytes);
  Grid grid = block_each(ceil_div(logits.dim(0), int64_t{warps}), warps * kWarp);
  grid.shared_bytes = warps * bytes;
  launch("router", route_kernel, grid, stream, indices, gates, scores, logits, bias, config,
         n_groups);
}

void route_backward(Stream& stream, View<float, 2> dlogits, View<const float, 2> dgates,
                    View<const float, 2> dscores_extra, View<const float, 2> scores,
                    View<const int32_t, 2> indices, const RouterConfig& config) {
  launch("router backward", route_backward_kernel, one_each(scores.dim(0) * kWarp), stream, dlogits,
         dgates, dscores_extra, scores, indices, config);
}

}  // namespace hadal::cuda
