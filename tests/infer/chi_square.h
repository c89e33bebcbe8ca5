// tests/infer/chi_square.h: Pearson's test of counts against probabilities.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace hadal {

// sum_i (count_i - n p_i)^2 / (n p_i); impossible outcomes are checked by the caller.
inline double chi_square(const std::vector<int64_t>& counts, const std::vector<double>& p,
                         int64_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (p[i] <= 0.0) continue;
    const double expected = static_cast<double>(n) * p[i];
    const double difference = static_cast<double>(counts[i]) - expected;
    sum += difference * difference / expected;
  }
  return sum;
}

// What a correct program exceeds once in 10000 seeds: the 0.9999 quantile by Wilson and Hilferty's
// cube approximation (within 1 % for 3 degrees of freedom and more). Seeds are fixed, so a test
// that passes once passes always.
inline double chi_square_limit(int64_t degrees_of_freedom) {
  const double k = static_cast<double>(degrees_of_freedom), z = 3.719;
  const double root = 1.0 - 2.0 / (9.0 * k) + z * std::sqrt(2.0 / (9.0 * k));
  return k * root * root * root;
}

}  // namespace hadal
