#include "hadal/kernels/rmsnorm.h"

#include <cmath>

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "hadal/kernels/cpu/rmsnorm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hadal/kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace hadal::cpu::HWY_NAMESPACE {

void rmsnorm_forward_row(float* y, float* r, const float* x, const float* w, int64_t D, float eps) {
  const double sum_sq = sum_of(D, [x](auto d, int64_t i) HWY_ATTR {
    const auto v = hn::LoadU(d, x + i);
    return hn::Mul(v, v);
  });
  *r = static_cast<float>(1.0 / std::sqrt(sum_sq / static_cast<double>(D) + double{eps}));
  for_each_vector(D, [=](auto d, int64_t i) HWY_ATTR {
    const auto n = hn::Mul(hn::LoadU(d, x + i), hn::Set(d, *r));
    hn::StoreU(hn::Mul(hn::LoadU(d, w + i), n), d, y + i);
  });
}

void rmsnorm_backward_input_row(float* dx, const float* dy, const float* x, const float* w, float r,
                                int64_t D, float beta) {
  const double g_dot_x = sum_of(D, [=](auto d, int64_t i) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, w + i), hn::LoadU(d, dy + i));
    return hn::Mul(g, hn::LoadU(d, x + i));
  });
  // dx = r g - x r^3 (g . x) / D
  const float factor = static_cast<float>(double{r} * r * r * g_dot_x / static_cast<double>(D));
  for_each_vector(D, [=](auto d, int64_t i) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, w + i), hn::LoadU(d, dy + i));
    auto value = hn::NegMulAdd(hn::LoadU(d, x + i), hn::Set(d, factor), hn::Mul(g, hn::Set(d, r)));
    if (beta != 0.0F) value = hn::Add(value, hn::LoadU(d, dx + i));
    hn::StoreU(value, d, dx + i);
  });
}

// dw[i] += sum_t dy[t,i] x[t,i] r[t] for one vector of columns: f32 within 64 rows, then across.
template <class D>
HWY_INLINE void rmsnorm_dw_columns(D d, float* dw, View<const float, 2> dy, View<const float, 2> x,
                                   const float* r, int64_t i) {
  constexpr int64_t kRun = 64;
  const int64_t T = x.dim(0);
  auto total = hn::Zero(d);
  for (int64_t begin = 0; begin < T; begin += kRun) {
    auto sum = hn::Zero(d);
    for (int64_t t = begin; t < std::min(T, begin + kRun); ++t) {
      const auto n = hn::Mul(hn::LoadU(d, x.data() + t * x.stride(0) + i), hn::Set(d, r[t]));
      sum = hn::MulAdd(hn::LoadU(d, dy.data() + t * dy.stride(0) + i), n, sum);
    }
    total = hn::Add(total, sum);
  }
  hn::StoreU(hn::Add(hn::LoadU(d, dw + i), total), d, dw + i);
}

void rmsnorm_dw(float* dw, View<const float, 2> dy, View<const float, 2> x, const float* r) {
  for_each_vector(x.dim(1),
                  [=](auto d, int64_t i) HWY_ATTR { rmsnorm_dw_columns(d, dw, dy, x, r, i); });
}

void rmsnorm_input_row(float* x, const float* y, const float* w, float r, int64_t D) {
  for_each_vector(D, [=](auto d, int64_t i) HWY_ATTR {
    const auto factor = hn::Mul(hn::LoadU(d, w + i), hn::Set(d, r));
    const auto value = hn::Div(hn::LoadU(d, y + i), factor);
    hn::StoreU(hn::IfThenZeroElse(hn::Eq(factor, hn::Zero(d)), value), d, x + i);
  });
}

}  // namespace hadal::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hadal::cpu {
namespace {

HWY_EXPORT(rmsnorm_forward_row);
HWY_EXPORT(rmsnorm_backward_input_row);
HWY_EXPORT(rmsnorm_dw);
HWY_EXPORT(rmsnorm_input_row);

}  // namespace

void rmsnorm_forward(ThreadPool& pool, View<float, 2> y, View<float, 1> r, View<const float, 2> x,
                     View<const float, 1> w, float eps) {
  const auto row = HWY_DYNAMIC_DISPATCH(rmsnorm_forward_row);
  pool.parallel_for(x.dim(0), row_grain(x.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      row(y.row(t).data(), &r(t), x.row(t).data(), w.data(), x.dim(1), eps);
    }
  });
}

void rmsnorm_backward_input(ThreadPool& pool, View<float, 2> dx, View<const float, 2> dy,
                            View<const float, 2> x, View<const float, 1> w, View<const float, 1> r,
                            float beta) {
  const auto row = HWY_DYNAMIC_DISPATCH(rmsnorm_backward_input_row);
  pool.parallel_for(x.dim(0), row_grain(x.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      row(dx.row(t).data(), dy.row(t).data(), x.row(t).data(), w.data(), r(t), x.dim(1), beta);
    }
  });
}

void rmsnorm_backward_weight(ThreadPool& pool, View<float, 1> dw, View<const float, 2> dy,
                             View<const float, 2> x, View<const float, 1> r) {
  const auto columns = HWY_DYNAMIC_DISPATCH(rmsnorm_dw);
  pool.parallel_for(x.dim(1), kColumnGrain, [&](int64_t begin, int64_t end, int) {
    columns(dw.data() + begin, dy.columns(begin, end), x.columns(begin, end), r.data());
  });
}

void rmsnorm_input(ThreadPool& pool, View<float, 2> x, View<const float, 2> y,
                   View<const float, 1> w, View<const float, 1> r) {
  const auto row = HWY_DYNAMIC_DISPATCH(rmsnorm_input_row);
  pool.parallel_for(y.dim(0), row_grain(y.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      row(x.row(t).data(), y.row(t).data(), w.data(), r(t), y.dim(1));
    }
  });
}

}  // namespace hadal::cpu
#endif  // HWY_ONCE
