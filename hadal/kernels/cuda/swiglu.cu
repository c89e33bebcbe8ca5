#include "hadal/kernels/swiglu.h"

#include "hadal/kernels/cuda/each.h"

namespace hadal::cuda {
namespace {

// exp overflows for x < -88: 1 / infinity is the 0 that the sigmoid is by then.
__device__ float sigmoid(float x) { return 1.0F / (1.0F + expf(-x)); }

// NaN stays NaN.
__device__ float at_most(float x, float limit) { return x > limit ? limit : x; }
__device__ float within(float x, float limit) { return x < -limit ? -limit : at_most(x, limit); }

struct Forward {
  View<float, 2> h;
  View<const float, 2> gate, up;
  float limit;
  template <int kWidth>
  __device__ Pack<float, kWidth> at(int64_t t, int64_t i) const {
    const auto g = load<kWidth>(&gate(t, i)), u = load<kWidth>(&up(t, i));
    Pack<float, kWidth> result;
    for (int j = 0; j < kWidth; ++j) {
      const float gate_j = at_most(g.at[j], limit);
      result.at[j] = gate_j / (1.0F + expf(-gate_j)) * within(u.at[j], limit);
    }
    return result;
  }
  template <int kWidth>
  __device__ void store(int64_t t, int64_t i, const Pack<float, kWidth>& values) const {
    cuda::store(&h(t, i), values);
  }
};

template <int kWidth>
struct Gradients {
  Pack<float, kWidth> gate, up;
};

struct Backward {
  View<float, 2> dgate, dup;
  View<const float, 2> dh, gate, up;
  float limit;
  template <int kWidth>
  __device__ Gradients<kWidth> at(int64_t t, int64_t i) const {
    const auto d = load<kWidth>(&dh(t, i)), g = load<kWidth>(&gate(t, i)),
               u = load<kWidth>(&up(t, i));
    Gradients<kWidth> result;
    for (int j = 0; j < kWidth; ++j) {
      const float gate_j = at_most(g.at[j], limit), up_j = within(u.at[j], limit);
      const float s = sigmoid(gate_j);
      // silu'(g) = sigmoid(g) (1 + g (1 - sigmoid(g)))
      result.gate.at[j] =
          g.at[j] > limit ? 0.0F : d.at[j] * up_j * s * (1.0F + gate_j * (1.0F - s));
      result.up.at[j] = fabsf(u.at[j]) > limit ? 0.0F : d.at[j] * gate_j * s;
    }
    return result;
  }
  template <int kWidth>
  __device__ void store(int64_t t, int64_t i, const Gradients<kWidth>& values) const {
    cuda::store(&dgate(t, i), values.gate);
    cuda::store(&dup(t, i), values.up);
  }
};

}  // namespace

void swiglu_forward(Stream& stream, View<float, 2> h, View<const float, 2> gate,
                    View<const float, 2> up, float limit) {
  const bool fours = in_fours(h) && in_fours(gate) && in_fours(up);
  each_of_rows("swiglu_forward", stream, h.dim(0), h.dim(1), fours, Forward{h, gate, up, limit});
}

void swiglu_backward(Stream& stream, View<float, 2> dgate, View<float, 2> dup,
                     View<const float, 2> dh, View<const float, 2> gate, View<const float, 2> up,
                     float limit) {
  const bool fours =
      in_fours(dgate) && in_fours(dup) && in_fours(dh) && in_fours(gate) && in_fours(up);
  each_of_rows("swiglu_backward", stream, dh.dim(0), dh.dim(1), fours,
               Backward{dgate, dup, dh, gate, up, limit});
}

}  // namespace hadal::cuda
