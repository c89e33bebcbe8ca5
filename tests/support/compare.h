// support/compare.h: are two arrays equal up to rounding?
//
// Three conditions together, because each alone can be fooled: every element (absolute or
// relative), the Frobenius norm of the difference, and the cosine between the two. NaN and infinity
// must stand at the same places. A failure names the worst coordinate and both values there.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "hadal/tensor/tensor.h"

namespace hadal::test {

struct Tolerance {
  double element = 0.0;    // |got - want| <= element * max|want|, or <= element * |want|
  double frobenius = 0.0;  // ||got - want|| <= frobenius * ||want||
  double cosine = 0.0;     // 1 - cos(got, want) <= cosine

  // Sums of n_terms products rounded with unit `eps`: each addition may lose eps/2 of the sum of
  // magnitudes, which for terms of both signs is about sqrt(n) times the result. The elements get
  // the worst case n, the norm (where errors average) sqrt(n) with a margin of 8.
  static Tolerance for_sum(int64_t n_terms, double eps = std::numeric_limits<float>::epsilon());
  static Tolerance exact() { return {}; }
};

// T is float or double.
template <class T>
void expect_close(std::span<const T> got, std::span<const T> want, const Tolerance& tolerance,
                  const std::string& what);

inline void expect_close(const std::vector<float>& got, const std::vector<float>& want,
                         const Tolerance& tolerance, const std::string& what) {
  expect_close(std::span<const float>(got), std::span<const float>(want), tolerance, what);
}
inline void expect_close(const std::vector<double>& got, const std::vector<double>& want,
                         const Tolerance& tolerance, const std::string& what) {
  expect_close(std::span<const double>(got), std::span<const double>(want), tolerance, what);
}
inline void expect_close(const Tensor& got, const Tensor& want, const Tolerance& tolerance,
                         const std::string& what) {
  expect_close(got.flat<float>(), want.flat<float>(), tolerance, what);
}

// Deterministic values, normal-ish with standard deviation `scale`, different for every seed.
template <class T = float>
std::vector<T> random_values(int64_t n, uint64_t seed, double scale = 1.0);

// The elements of a view (strided or not) in row-major order.
template <class T, int Rank>
std::vector<std::remove_const_t<T>> elements(const View<T, Rank>& view) {
  std::vector<std::remove_const_t<T>> result;
  result.reserve(static_cast<size_t>(view.size()));
  for (int64_t i = 0; i < view.size(); ++i) {
    int64_t rest = i, offset = 0;
    for (int axis = Rank - 1; axis >= 0; --axis) {
      offset += rest % view.dim(axis) * view.stride(axis);
      rest /= view.dim(axis);
    }
    result.push_back(view.data()[offset]);
  }
  return result;
}

}  // namespace hadal::test
