#include "tests/support/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace hadal::test {

Tolerance Tolerance::for_sum(int64_t n_terms, double eps) {
  const double n = static_cast<double>(std::max<int64_t>(n_terms, 1));
  const double norm = 8.0 * std::sqrt(n) * eps;
  return {.element = (n + 8.0) * eps, .frobenius = norm, .cosine = norm};
}

Tolerance Tolerance::in_rows_of(int64_t length) const {
  Tolerance result = *this;
  result.row_length = length;
  return result;
}

Tolerance Tolerance::with_scale(std::vector<double> of_each_row) const {
  Tolerance result = *this;
  result.scale = std::move(of_each_row);
  return result;
}

namespace {

// The scale of every row, as given or as the largest finite |want| in it.
template <class T>
std::vector<double> row_scales(std::span<const T> want, const Tolerance& tolerance, size_t row) {
  if (!tolerance.scale.empty()) return tolerance.scale;
  std::vector<double> scale((want.size() + row - 1) / row, 0.0);
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isfinite(want[i])) {
      scale[i / row] = std::max(scale[i / row], std::abs(static_cast<double>(want[i])));
    }
  }
  return scale;
}

}  // namespace

template <class T>
void expect_close(std::span<const T> got, std::span<const T> want, const Tolerance& tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what << ": number of elements";
  if (want.empty()) return;
  const size_t row =
      tolerance.row_length > 0 ? static_cast<size_t>(tolerance.row_length) : want.size();
  ASSERT_EQ(want.size() % row, 0U) << what << ": no whole rows of " << row;
  const std::vector<double> scale = row_scales(want, tolerance, row);
  ASSERT_EQ(scale.size(), want.size() / row) << what << ": a scale for each row";
  double largest = 0.0;
  for (const T value : want) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  const double everywhere = tolerance.inherited * largest + tolerance.absolute;
  double norm_got = 0.0, norm_want = 0.0, norm_difference = 0.0, dot = 0.0;
  double worst = -1.0;  // difference in units of what is allowed there
  size_t worst_at = 0, n_bad = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = got[i], w = want[i];
    if (!std::isfinite(g) || !std::isfinite(w)) {
      const bool same = (std::isnan(g) && std::isnan(w)) || g == w;
      EXPECT_TRUE(same) << what << " at " << i << ": got " << g << ", want " << w;
      if (!same) return;
      continue;
    }
    const double difference = std::abs(g - w);
    norm_got += g * g;
    norm_want += w * w;
    norm_difference += difference * difference;
    dot += g * w;
    const double allowed = tolerance.element * scale[i / row] + everywhere;
    if (difference > allowed) ++n_bad;
    const double excess = difference == 0.0 ? 0.0 : difference / std::max(allowed, 1e-300);
    if (excess > worst) {
      worst = excess;
      worst_at = i;
    }
  }
  if (worst < 0.0) return;
  norm_got = std::sqrt(norm_got);
  norm_want = std::sqrt(norm_want);
  norm_difference = std::sqrt(norm_difference);
  // All elements together may be off by what each may be off by itself.
  const double absolute = tolerance.absolute * std::sqrt(static_cast<double>(got.size()));
  const double relative = norm_difference / std::max(norm_want, 1e-300);
  // Rounding of this computation itself: a cosine of equal vectors is 1 only to about 1e-15.
  const double cosine =
      norm_got > 0.0 && norm_want > 0.0 ? dot / (norm_got * norm_want) : (norm_got == norm_want);
  const bool close = n_bad == 0 && norm_difference <= tolerance.frobenius * norm_want + absolute &&
                     1.0 - cosine <= tolerance.cosine + 1e-12;
  EXPECT_TRUE(close) << what << ": worst at " << worst_at << " of " << got.size() << " (row "
                     << worst_at / row << "), got " << got[worst_at] << ", want " << want[worst_at]
                     << "; " << n_bad << " elements beyond " << tolerance.element
                     << " of their row's scale, there " << scale[worst_at / row] << ", and "
                     << everywhere << "; relative norm of the difference " << relative << " (limit "
                     << tolerance.frobenius << "), 1-cos " << 1.0 - cosine << " (limit "
                     << tolerance.cosine << ")";
}

template void expect_close(std::span<const float>, std::span<const float>, const Tolerance&,
                           const std::string&);
template void expect_close(std::span<const double>, std::span<const double>, const Tolerance&,
                           const std::string&);

template <class T>
std::vector<T> random_values(int64_t n, uint64_t seed, double scale) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal(0.0, scale);
  std::vector<T> result(static_cast<size_t>(n));
  for (T& value : result) value = static_cast<T>(normal(engine));
  return result;
}
template std::vector<float> random_values<float>(int64_t, uint64_t, double);
template std::vector<double> random_values<double>(int64_t, uint64_t, double);

}  // namespace hadal::test
