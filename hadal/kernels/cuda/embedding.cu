#include "hadal/kernels/embedding.h"

#include <numeric>
#include <vector>

#include "hadal/kernels/cuda/each.h"
#include "hadal/kernels/cuda/stored_weight.h"

namespace hadal::cuda {
namespace {

template <WeightForm kForm>
struct LookUp {
  View<float, 2> x;
  WeightView w;
  const int32_t* ids;
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t t, int64_t i) const {
    return values_at<kForm, kWidth>(w, ids[t], i);
  }
  template <int kWidth>
  __device__ void store(int64_t t, int64_t i, const Pack<float, kWidth>& values) const {
    cuda::store(&x(t, i), values);
  }
};

// The tokens that have one id: tokens[begin .. end).
struct Occurrences {
  int32_t id, begin, end;
};

// Tokens sorted by id, ascending within each.
struct TokensById {
  std::vector<int32_t> tokens;
  std::vector<Occurrences> ids;

  TokensById(std::span<const int32_t> id_of, int64_t n_ids) : tokens(id_of.size()) {
    std::vector<int32_t> end(static_cast<size_t>(n_ids) + 1);
    for (const int32_t id : id_of) ++end[static_cast<size_t>(id) + 1];
    std::partial_sum(end.begin(), end.end(), end.begin());  // so far of each id: where it begins
    for (size_t t = 0; t < id_of.size(); ++t) {
      int32_t& next = end[static_cast<size_t>(id_of[t])];
      tokens[static_cast<size_t>(next++)] = static_cast<int32_t>(t);
    }
    int32_t begin = 0;
    for (size_t id = 0; id < static_cast<size_t>(n_ids); ++id) {
      if (end[id] > begin) ids.push_back({static_cast<int32_t>(id), begin, end[id]});
      begin = end[id];
    }
  }
};

// One thread adds up all that belongs to its columns of an id, so t ascends as the op promises.
template <int kWidth>
__global__ void backward_weight_kernel(View<float, 2> dw, View<const float, 2> dx,
                                       const Occurrences* ids, const int32_t* tokens) {
  constexpr int kTokens = 8;  // read before the first of them is added
  const Occurrences of = ids[blockIdx.x];
  const int64_t i = (int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * kWidth;
  if (i >= dw.dim(1)) return;
  auto sum = load<kWidth>(&dw(of.id, i));
  for (int32_t first = of.begin; first < of.end; first += kTokens) {
    Pack<float, kWidth> terms[kTokens];
    for (int u = 0; u < kTokens; ++u) {
      if (first + u < of.end) terms[u] = load<kWidth>(&dx(tokens[first + u], i));
    }
    for (int u = 0; u < kTokens; ++u) {
      if (first + u >= of.end) continue;
      for (int j = 0; j < kWidth; ++j) sum.at[j] += terms[u].at[j];
    }
  }
  store(&dw(of.id, i), sum);
}

}  // namespace

void embedding_forward(Stream& stream, View<float, 2> x, const WeightView& w,
                       std::span<const int32_t> ids) {
  const int32_t* const on_card = own(stream).upload(ids);
  for_form(w.form, [&]<WeightForm kForm>() {
    each_of_rows("embedding_forward", stream, x.dim(0), x.dim(1), in_fours(x) && in_fours(w),
                 LookUp<kForm>{x, w, on_card});
  });
}

void embedding_backward_weight(Stream& stream, View<float, 2> dw, View<const float, 2> dx,
                               std::span<const int32_t> ids) {
  const TokensById sorted(ids, dw.dim(0));
  const bool fours = in_fours(dw) && in_fours(dx);
  const int64_t n_packs = fours ? dw.dim(1) / kFour : dw.dim(1);
  const int threads = static_cast<int>(std::clamp<int64_t>(round_up(n_packs, kWarp), kWarp, 256));
  const Grid grid{dim3(static_cast<unsigned>(sorted.ids.size()),
                       static_cast<unsigned>(ceil_div(n_packs, int64_t{threads}))),
                  threads};
  launch("embedding_backward_weight",
         fours ? backward_weight_kernel<kFour> : backward_weight_kernel<1>, grid, stream, dw, dx,
         own(stream).upload(std::span<const Occurrences>(sorted.ids)),
         own(stream).upload(std::span<const int32_t>(sorted.tokens)));
}

}  // namespace hadal::cuda
