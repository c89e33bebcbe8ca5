#include "hadal/kernels/rope.h"

#include "hadal/kernels/cuda/pack.h"

namespace hadal::cuda {
namespace {

// A block has a token, and its threads the pairs of all heads, kPairs at a time.
template <int kPairs>
__global__ void turn_kernel(View<float, 3> x, View<const float, 2> cos, View<const float, 2> sin,
                            const int32_t* positions, float direction) {
  const int64_t t = blockIdx.x, position = positions[t];
  const int per_head = static_cast<int>(x.dim(2)) / (2 * kPairs);
  const int n = static_cast<int>(x.dim(1)) * per_head;
  for (int k = static_cast<int>(threadIdx.x); k < n; k += static_cast<int>(blockDim.x)) {
    const int h = k / per_head, i = k % per_head * kPairs;
    const auto c = load<kPairs>(&cos(position, i)), s = load<kPairs>(&sin(position, i));
    const auto old = load<2 * kPairs>(&x(t, h, 2 * i));
    Pack<float, 2 * kPairs> turned;
    for (int j = 0; j < kPairs; ++j) {
      const float even = old.at[2 * j], odd = old.at[2 * j + 1], sine = direction * s.at[j];
      turned.at[2 * j] = even * c.at[j] - odd * sine;
      turned.at[2 * j + 1] = even * sine + odd * c.at[j];
    }
    store(&x(t, h, 2 * i), turned);
  }
}
// Without the alignment that a pair would need as one access.
__global__ void turn_singles_kernel(View<float, 3> x, View<const float, 2> cos,
                                    View<const float, 2> sin, const int32_t* positions,
                                    float direction) {
  const int64_t t = blockIdx.x, position = positions[t];
  const int per_head = static_cast<int>(x.dim(2)) / 2;
  const int n = static_cast<int>(x.dim(1)) * per_head;
  for (int k = static_cast<int>(threadIdx.x); k < n; k += static_cast<int>(blockDim.x)) {
    const int h = k / per_head, i = k % per_head;
    const float c = cos(position, i), s = direction * sin(position, i);
    const float even = x(t, h, 2 * i), odd = x(t, h, 2 * i + 1);
    x(t, h, 2 * i) = even * c - odd * s;
    x(t, h, 2 * i + 1) = even * s + odd * c;
  }
}

}  // namespace

void rope_turn(Stream& stream, View<float, 3> x, View<const float, 2> cos, View<const float, 2> sin,
               std::span<const int32_t> positions, int direction) {
  const bool fours = in_fours(x.data()) && x.stride(0) % kFour == 0 && x.stride(1) % kFour == 0 &&
                     x.dim(2) % kFour == 0 && in_fours(cos.data()) && in_fours(sin.data());
  const int64_t n = x.dim(1) * x.dim(2) / (fours ? 4 : 2);
  const int threads = static_cast<int>(std::clamp<int64_t>(round_up(n, kWarp), kWarp, 256));
  launch("rope_turn", fours ? turn_kernel<2> : turn_singles_kernel, block_each(x.dim(0), threads),
         stream, x, cos, sin, own(stream).upload(positions), static_cast<float>(direction));
}

}  // namespace hadal::cuda
