// kernels/cuda/pack.h: several neighbouring elements as one access to memory, at most 16 bytes each.
#pragma once

#include <algorithm>

#include "hadal/kernels/cuda/launch.h"
#include "hadal/tensor/view.h"

namespace hadal::cuda {

template <class T, int kWidth>
struct alignas(std::min<size_t>(sizeof(T) * kWidth, 16)) Pack {
  T at[kWidth];
};

// REQUIRES the alignment of a Pack.
template <int kWidth, class T>
__device__ Pack<T, kWidth> load(const T* from) {
  return *reinterpret_cast<const Pack<T, kWidth>*>(from);
}
template <int kWidth, class T>
__device__ void store(T* to, const Pack<T, kWidth>& values) {
  *reinterpret_cast<Pack<T, kWidth>*>(to) = values;
}

// How many packs a thread asks for before it uses the first.
inline constexpr int kInFlight = 4;
// Elements of a pack where data and strides allow it.
inline constexpr int kFour = 4;

inline bool is_aligned(const void* data, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(bytes) == 0;
}
// Whether the elements of a vector are packs of four from its first on.
template <class T>
bool in_fours(const T* data) {
  return is_aligned(data, std::min<int64_t>(kFour * static_cast<int64_t>(sizeof(T)), 16));
}
// Whether every row of a matrix is packs of four.
template <class T>
bool in_fours(const View<T, 2>& x) {
  return in_fours(x.data()) && x.stride(0) % kFour == 0 && x.dim(1) % kFour == 0;
}

}  // namespace hadal::cuda
