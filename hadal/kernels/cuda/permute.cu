#include "hadal/kernels/permute.h"

#include "hadal/kernels/cuda/each.h"
#include "hadal/kernels/cuda/row_threads.h"

namespace hadal::cuda {
namespace {

struct GatherRows {
  View<float, 2> y;
  View<const float, 2> x;
  const int32_t* token_of;
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t r, int64_t i) const {
    return load<kWidth>(&x(token_of[r], i));
  }
  template <int kWidth>
  __device__ void store(int64_t r, int64_t i, const Pack<float, kWidth>& values) const {
    cuda::store(&y(r, i), values);
  }
};

// y[t] += sum_k factor[t,k] x[row_of[t,k]], k ascending; the factor is 1 where there are no gates.
template <bool kGated>
struct SumOfChoices {
  View<float, 2> y;
  View<const float, 2> x, gates;
  const int32_t* row_of;
  int64_t K;
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t t, int64_t i) const {
    Pack<float, kWidth> sum{};
    for (int64_t first = 0; first < K; first += kInFlight) {
      Pack<float, kWidth> terms[kInFlight];
      int64_t rows[kInFlight];  // -1: the expert is elsewhere
      for (int u = 0; u < kInFlight; ++u) {
        rows[u] = first + u < K ? row_of[t * K + first + u] : -1;
        if (rows[u] >= 0) terms[u] = load<kWidth>(&x(rows[u], i));
      }
      for (int u = 0; u < kInFlight; ++u) {
        if (rows[u] < 0) continue;
        const float factor = kGated ? gates(t, first + u) : 1.0F;
        for (int j = 0; j < kWidth; ++j) sum.at[j] += factor * terms[u].at[j];
      }
    }
    const auto old = load<kWidth>(&y(t, i));
    for (int j = 0; j < kWidth; ++j) sum.at[j] = old.at[j] + sum.at[j];
    return sum;
  }
  template <int kWidth>
  __device__ void store(int64_t t, int64_t i, const Pack<float, kWidth>& values) const {
    cuda::store(&y(t, i), values);
  }
};

struct ScaleRows {
  View<float, 2> x;
  View<const float, 1> factors;
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t r, int64_t i) const {
    auto values = load<kWidth>(&x(r, i));
    for (int j = 0; j < kWidth; ++j) values.at[j] *= factors(r);
    return values;
  }
  template <int kWidth>
  __device__ void store(int64_t r, int64_t i, const Pack<float, kWidth>& values) const {
    cuda::store(&x(r, i), values);
  }
};

__global__ void choices_to_rows_kernel(View<float, 1> rows, View<const float, 2> choices,
                                       const int32_t* row_of) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, K = choices.dim(1);
  if (i >= choices.size()) return;
  const int64_t r = row_of[i];
  if (r >= 0) rows(r) = choices(i / K, i % K);
}

__global__ void rows_to_choices_kernel(View<float, 2> choices, View<const float, 1> rows,
                                       const int32_t* row_of) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, K = choices.dim(1);
  if (i >= choices.size()) return;
  const int64_t r = row_of[i];
  choices(i / K, i % K) = r >= 0 ? rows(r) : 0.0F;
}

template <int kWidth, bool kByWarp>
__global__ void __launch_bounds__(kByWarp ? kWarpRowThreads : kMaxThreads)
    gate_backward_kernel(View<float, 1> dgates, View<float, 2> dh, View<const float, 2> h,
                         View<const float, 1> gates) {
  using Threads = RowThreads<kByWarp>;
  const int64_t r = Threads::row();
  if (r >= h.dim(0)) return;
  const RowShare<kWidth, Threads> row(dh.data() + r * dh.stride(0), h.dim(1) / kWidth);
  float dot = 0;
  row.each([&](int64_t i, const Pack<float, kWidth>& d) {
    const auto value = load<kWidth>(&h(r, i));
    for (int j = 0; j < kWidth; ++j) dot += d.at[j] * value.at[j];
  });
  dot = Threads::sum(dot);
  if (Threads::index() == 0) dgates(r) = dot;
  const float gate = gates(r);
  row.each([&](int64_t i, Pack<float, kWidth> d) {
    for (int j = 0; j < kWidth; ++j) d.at[j] *= gate;
    store(&dh(r, i), d);
  });
}

}  // namespace

void gather_rows(Stream& stream, View<float, 2> y, View<const float, 2> x,
                 std::span<const int32_t> token_of) {
  if (y.size() == 0) return;
  each_of_rows("gather_rows", stream, y.dim(0), y.dim(1), in_fours(y) && in_fours(x),
               GatherRows{y, x, own(stream).upload(token_of)});
}

void gather_rows_backward(Stream& stream, View<float, 2> dx, View<const float, 2> dy,
                          std::span<const int32_t> row_of) {
  if (dx.size() == 0) return;
  const int64_t K = static_cast<int64_t>(row_of.size()) / dx.dim(0);
  each_of_rows("gather_rows_backward", stream, dx.dim(0), dx.dim(1), in_fours(dx) && in_fours(dy),
               SumOfChoices<false>{dx, dy, {}, own(stream).upload(row_of), K});
}

void combine_rows(Stream& stream, View<float, 2> y, View<const float, 2> x,
                  View<const float, 2> gates, std::span<const int32_t> row_of) {
  if (y.size() == 0) return;
  each_of_rows("combine_rows", stream, y.dim(0), y.dim(1), in_fours(y) && in_fours(x),
               SumOfChoices<true>{y, x, gates, own(stream).upload(row_of), gates.dim(1)});
}

void choices_to_rows(Stream& stream, View<float, 1> rows, View<const float, 2> choices,
                     std::span<const int32_t> row_of) {
  launch("choices_to_rows", choices_to_rows_kernel, one_each(choices.size()), stream, rows, choices,
         own(stream).upload(row_of));
}

void rows_to_choices(Stream& stream, View<float, 2> choices, View<const float, 1> rows,
                     std::span<const int32_t> row_of) {
  launch("rows_to_choices", rows_to_choices_kernel, one_each(choices.size()), stream, choices, rows,
         own(stream).upload(row_of));
}

void gate_backward(Stream& stream, View<float, 1> dgates, View<float, 2> dh, View<const float, 2> h,
                   View<const float, 1> gates) {
  for_row_threads(h.dim(0), h.dim(1), in_fours(dh) && in_fours(h),
                  [&]<int kWidth, bool kByWarp>(const Grid& grid) {
                    launch("gate_backward", gate_backward_kernel<kWidth, kByWarp>, grid, stream,
                           dgates, dh, h, gates);
                  });
}

void scale_rows(Stream& stream, View<float, 2> x, View<const float, 1> factors) {
  each_of_rows("scale_rows", stream, x.dim(0), x.dim(1), in_fours(x), ScaleRows{x, factors});
}

}  // namespace hadal::cuda
