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

template <class T>
void expect_close(std::span<const T> got, std::span<const T> want, const Tolerance& tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what << ": number of elements";
  double largest = 0.0;
  for (const T value : want) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  double norm_got = 0.0, norm_want = 0.0, norm_difference = 0.0, dot = 0.0;
  double worst = -1.0;
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
    if (difference > tolerance.element * std::max(largest, std::abs(w))) ++n_bad;
    if (difference > worst) {
      worst = difference;
      worst_at = i;
    }
  }
  if (worst < 0.0) return;
  norm_got = std::sqrt(norm_got);
  norm_want = std::sqrt(norm_want);
  const double relative = std::sqrt(norm_difference) / std::max(norm_want, 1e-300);
  // Rounding of this computation itself: a cosine of equal vectors is 1 only to about 1e-15.
  const double cosine =
      norm_got > 0.0 && norm_want > 0.0 ? dot / (norm_got * norm_want) : (norm_got == norm_want);
  const bool close = n_bad == 0 && (norm_difference == 0.0 || relative <= tolerance.frobenius) &&
                     1.0 - cosine <= tolerance.cosine + 1e-12;
  EXPECT_TRUE(close) << what << ": worst at " << worst_at << " of " << got.size() << ", got "
                     << got[worst_at] << ", want " << want[worst_at] << "; " << n_bad
                     << " elements beyond " << tolerance.element << " of " << largest
                     << "; relative norm of the difference " << relative << " (limit "
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
