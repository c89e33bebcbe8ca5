// support/compare.h: are two arrays equal up to rounding?
//
// Three conditions together, because each alone can be fooled: every element against the largest of
// its own row, the Frobenius norm of the difference, and the cosine between the two. NaN and
// infinity must stand at the same places. A failure names the worst coordinate and both values
// there.
//
// Why the row: norm, cosine and the largest of all elements let a small row (a rare token's
// gradient beside a frequent one's) be wrong altogether. Why not the element itself: a sum of n
// products is rounded in units of its terms, sum_k |a_k| |b_k|, and where they cancel the sum is as
// small as it likes. The largest of a row of many such sums is about sqrt(n) terms, and the error of
// each, when signs are mixed, at most about n/4 roundings of a term: (n + 8) eps of the largest
// holds. It does not for rows of one or a few sums, which may all have cancelled. There the caller
// knows the terms and passes their magnitudes as the rows' scale; the bound is then the worst case
// of any order of additions (Higham, Accuracy and Stability, eq. 3.5).
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "hadal/tensor/tensor.h"

namespace hadal::test {

struct Tolerance {
  double element = 0.0;    // |got - want| <= element * scale of the row
                           //                 + inherited * largest of all + absolute
  double frobenius = 0.0;  // ||got - want|| <= frobenius * ||want||
  double cosine = 0.0;     // 1 - cos(got, want) <= cosine
  // What the operands bring along. dW = dy^T x: an element of dy is known to eps of its token's
  // largest, however small it is, and so is a row of dW to eps of the largest row.
  double inherited = 0.0;
  double absolute = 0.0;  // what `want` itself may be off by: a difference quotient, a short print

  // Elements of a row, which stand one after another. 1: each element has its own scale. A Tensor
  // knows its rows (the last axis); for anything flat that is more than one row, say it.
  int64_t row_length = 0;       // 0: all elements are one row
  std::vector<double> scale{};  // of each row; empty: the largest |want| in it

  // Sums of n_terms products rounded with unit `eps`: each addition may lose eps/2 of the sum of
  // magnitudes, which for terms of both signs is about sqrt(n) times the result. The elements get
  // the worst case n, the norm (where errors average) sqrt(n) with a margin of 8.
  static Tolerance for_sum(int64_t n_terms, double eps = std::numeric_limits<float>::epsilon());
  static Tolerance exact() { return {}; }

  Tolerance in_rows_of(int64_t length) const;
  // The scale of each row, where it is a sum of terms that cancel: sum |a| |b| of its largest.
  Tolerance with_scale(std::vector<double> of_each_row) const;
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
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const int64_t row = want.rank() == 0 ? 1 : want.dim(want.rank() - 1);
  expect_close(got.flat<float>(), want.flat<float>(), tolerance.in_rows_of(row), what);
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
