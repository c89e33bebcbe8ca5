#include "hadal/kernels/permute.h"

#include <cstring>

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/permute.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

// y += sum_k gates[k] * x[rows[k]], k ascending; all gates 1 when gates is null. Choices whose expert
// is elsewhere have row -1.
void add_rows(float* y, View<const float, 2> x, const int32_t* rows, const float* gates,
              int64_t K) {
  for_each_vector(x.dim(1), [=](auto d, int64_t i) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (int64_t k = 0; k < K; ++k) {
      if (rows[k] < 0) continue;
      const auto v = hn::LoadU(d, x.data() + rows[k] * x.stride(0) + i);
      sum = gates ? hn::MulAdd(hn::Set(d, gates[k]), v, sum) : hn::Add(sum, v);
    }
    hn::StoreU(hn::Add(hn::LoadU(d, y + i), sum), d, y + i);
  });
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(add_rows);
HWY_EXPORT(dot_range);
HWY_EXPORT(scale_range);

}  // namespace

void gather_rows(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                 std::span<const int32_t> token_of) {
  const size_t row_bytes = static_cast<size_t>(y.dim(1)) * sizeof(float);
  pool.parallel_for(y.dim(0), row_grain(y.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      std::memcpy(y.row(r).data(), x.row(token_of[static_cast<size_t>(r)]).data(), row_bytes);
    }
  });
}

void gather_rows_backward(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                          std::span<const int32_t> row_of) {
  const int64_t T = dx.dim(0);
  if (T == 0) return;
  const int64_t K = static_cast<int64_t>(row_of.size()) / T;
  const auto add = HWY_DYNAMIC_DISPATCH(add_rows);
  pool.parallel_for(T, row_grain(K * dx.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      add(dx.row(t).data(), dy, row_of.data() + t * K, nullptr, K);
    }
  });
}

void combine_rows(ThreadPool& pool, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, std::span<const int32_t> row_of) {
  const int64_t K = gates.dim(1);
  const auto add = HWY_DYNAMIC_DISPATCH(add_rows);
  pool.parallel_for(y.dim(0), row_grain(K * y.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      add(y.row(t).data(), x, row_of.data() + t * K, gates.row(t).data(), K);
    }
  });
}

void gate_backward(ThreadPool& pool, View<float, 1> dgates, View<float, 2> dh,
                   View<const float, 2> h, View<const float, 1> gates) {
  const int64_t F = h.dim(1);
  const auto dot = HWY_DYNAMIC_DISPATCH(dot_range);
  const auto scale = HWY_DYNAMIC_DISPATCH(scale_range);
  pool.parallel_for(h.dim(0), row_grain(F), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      dgates(r) = dot(dh.row(r).data(), h.row(r).data(), F);
      scale(dh.row(r).data(), gates(r), F);
    }
  });
}

void scale_rows(ThreadPool& pool, View<float, 2> x, View<const float, 1> factors) {
  const auto scale = HWY_DYNAMIC_DISPATCH(scale_range);
  pool.parallel_for(x.dim(0), row_grain(x.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) scale(x.row(r).data(), factors(r), x.dim(1));
  });
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
