#include "hadal/kernels/router.h"

#include <array>
#include <vector>

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"
#include "hadal/kernels/cpu/top_k.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/router.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

void sigmoid_row(float* scores, const float* logits, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(sigmoid(d, hn::LoadU(d, logits + i)), d, scores + i);
  });
}

void softmax_row(float* scores, const float* logits, int64_t n) {
  const float largest = *std::max_element(logits, logits + n);
  const double sum = exponentials(scores, logits, largest, n);
  scale_range(scores, static_cast<float>(1.0 / sum), n);
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(sigmoid_row);
HWY_EXPORT(softmax_row);

// The columns [rows, k] of the k largest values of each row, ascending.
std::vector<int32_t> largest_of_rows(View<const float, 2> x, int64_t k) {
  const auto width = static_cast<size_t>(k);
  std::vector<int32_t> columns(static_cast<size_t>(x.dim(0)) * width);
  TopK largest(k);
  for (int64_t t = 0; t < x.dim(0); ++t) {
    largest.clear();
    for (int64_t e = 0; e < x.dim(1); ++e) largest.offer(x(t, e), static_cast<int32_t>(e));
    largest.take_ids(std::span(columns).subspan(static_cast<size_t>(t) * width, width));
  }
  return columns;
}

}  // namespace

void route_forward(ThreadPool& pool, View<int32_t, 2> indices, View<float, 2> gates,
                   View<float, 2> scores, View<const float, 2> logits, View<const float, 1> bias,
                   const RouterConfig& config) {
  const bool softmax = config.scoring == ScoringFunction::kSoftmax;
  const auto score_row =
      softmax ? HWY_DYNAMIC_DISPATCH(softmax_row) : HWY_DYNAMIC_DISPATCH(sigmoid_row);
  const int64_t E = logits.dim(1);
  pool.parallel_for(logits.dim(0), row_grain(4 * E), [&](int64_t begin, int64_t end, int) {
    ExpertChooser chooser(config);
    std::vector<float> biased(static_cast<size_t>(E));
    for (int64_t t = begin; t < end; ++t) {
      score_row(scores.row(t).data(), logits.row(t).data(), E);
      if (config.method == TopkMethod::kNoauxTc) {
        for (int64_t e = 0; e < E; ++e) biased[static_cast<size_t>(e)] = scores(t, e) + bias(e);
        chooser.choose(biased, indices.row(t));
      } else {
        chooser.choose(scores.row(t), indices.row(t));
      }
    }
    reference::router_gates<float>(gates.rows(begin, end), scores.rows(begin, end),
                                   indices.rows(begin, end), config);
  });
}

void route_backward(ThreadPool& pool, View<float, 2> dlogits, View<const float, 2> dgates,
                    View<const float, 2> dscores_extra, View<const float, 2> scores,
                    View<const int32_t, 2> indices, const RouterConfig& config) {
  pool.parallel_for(
      scores.dim(0), row_grain(4 * scores.dim(1)), [&](int64_t begin, int64_t end, int) {
        const View<const float, 2> extra =
            dscores_extra.data() ? dscores_extra.rows(begin, end) : dscores_extra;
        reference::route_backward<float>(dlogits.rows(begin, end), dgates.rows(begin, end), extra,
                                         scores.rows(begin, end), indices.rows(begin, end), config);
      });
}

double sequence_balance_loss(ThreadPool& pool, View<float, 2> dscores, View<const float, 2> scores,
                             View<const int32_t, 2> indices,
                             std::span<const int64_t> sequence_offsets, float alpha,
                             float loss_scale, BalanceCount count, int64_t top_k) {
  // A sequence is the unit of the loss: one task each, the losses added in order.
  const int64_t n_sequences = static_cast<int64_t>(sequence_offsets.size()) - 1;
  std::vector<double> losses(static_cast<size_t>(n_sequences));
  pool.parallel_tasks(n_sequences, [&](int64_t s, int) {
    const int64_t begin = sequence_offsets[static_cast<size_t>(s)];
    const int64_t end = sequence_offsets[static_cast<size_t>(s) + 1];
    const View<const float, 2> of_sequence = scores.rows(begin, end);
    std::vector<int32_t> unbiased;
    View<const int32_t, 2> counted = indices.rows(begin, end);
    if (count == BalanceCount::kUnbiasedTopK) {
      unbiased = largest_of_rows(of_sequence, top_k);
      counted = {unbiased.data(), {end - begin, top_k}};
    }
    losses[static_cast<size_t>(s)] = reference::sequence_balance_loss<float>(
        dscores.data() ? dscores.rows(begin, end) : dscores, of_sequence, counted,
        std::array{int64_t{0}, end - begin}, double{alpha} / static_cast<double>(n_sequences),
        loss_scale, BalanceCount::kChosen, top_k);
  });
  double total = 0;
  for (const double loss : losses) total += loss;
  return total;
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
