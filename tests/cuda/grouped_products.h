// tests/cuda/grouped_products.h: random operands on the card, and what sums over them must be near to.
//
// Bounds. E4M3: an instruction adds 32 products and the accumulator, each cut off at 2^-13 of the largest
// of the 33 and the result at 13 bits: at most 34 * 2^-13 of the largest. Between blocks of 128: f32. BF16: an
// instruction adds 16 products likewise, cut off no coarser than 2^-23. A BF16 result rounds once more, 2^-9.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "hadal/tensor/dtype.h"
#include "tests/cuda/device_array.h"

namespace hadal::test {

inline constexpr int64_t kGuard = 64;     // elements behind every output
inline constexpr uint8_t kPoison = 0xFF;  // NaN in every type here
inline const std::vector<int> kGroupRows = {0, 1, 63, 64, 65, 127, 129, 300};

template <class T>
std::vector<T> poisoned(int64_t size) {
  std::vector<T> result(static_cast<size_t>(size + kGuard));
  std::memset(static_cast<void*>(result.data()), kPoison, result.size() * sizeof(T));
  return result;
}

template <class T>
bool is_poison(const T& value) {
  const std::vector<uint8_t> expected(sizeof(T), kPoison);
  return std::memcmp(&value, expected.data(), sizeof(T)) == 0;
}

inline float value_of(float value) { return value; }
inline float value_of(bf16 value) { return to_float(value); }

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u + 12345u) {}
  uint32_t bits() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    return state_ ^= state_ << 5;
  }
  float unit() { return static_cast<float>(bits() >> 8) * 0x1p-23f - 1.0f; }  // [-1, 1)
  std::vector<f8e4m3> codes(int64_t n) {
    std::vector<f8e4m3> result(static_cast<size_t>(n));
    for (auto& code : result) code = to_f8e4m3(unit() * 448.0f);
    return result;
  }
  std::vector<bf16> values(int64_t n) {
    std::vector<bf16> result(static_cast<size_t>(n));
    for (auto& value : result) value = to_bf16(unit());
    return result;
  }
  std::vector<float> floats(int64_t n) {
    std::vector<float> result(static_cast<size_t>(n));
    for (auto& value : result) value = unit();
    return result;
  }
  std::vector<float> scales(int64_t n) {  // 2^-9 to 2^-7, not powers of two
    std::vector<float> result(static_cast<size_t>(n));
    for (auto& value : result) value = std::exp2(unit() - 8.0f);
    return result;
  }

 private:
  uint32_t state_;
};

inline int64_t ceil_to(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

struct Expected {
  double value = 0, bound = 0;
};

// a(k), b(k): elements as doubles; scale(k / 128): of a block.
template <class A, class B, class Scale>
Expected expected_fp8(int64_t k_begin, int64_t k_end, const A& a, const B& b, const Scale& scale) {
  Expected sum;
  double magnitude = 0;
  for (int64_t block = k_begin; block < k_end; block += 128) {
    double part = 0, cut = 0, sizes = 0;
    for (int64_t k0 = block; k0 < std::min(block + 128, k_end); k0 += 32) {
      double largest = sizes;
      for (int64_t k = k0; k < std::min(k0 + 32, k_end); ++k) {
        const double product = a(k) * b(k);
        part += product;
        sizes += std::abs(product);
        largest = std::max(largest, std::abs(product));
      }
      cut += 34 * 0x1p-13 * largest;
    }
    const double s = scale(block / 128);
    sum.value += part * s;
    sum.bound += cut * s;
    magnitude += sizes * s;
  }
  sum.bound += magnitude * 0x1p-23 * static_cast<double>((k_end - k_begin) / 128 + 3);
  return sum;
}

template <class A, class B>
Expected expected_bf16(int64_t k_begin, int64_t k_end, const A& a, const B& b) {
  Expected sum;
  double sizes = 0;
  for (int64_t k = k_begin; k < k_end; ++k) {
    const double product = a(k) * b(k);
    sum.value += product;
    sizes += std::abs(product);
  }
  sum.bound = sizes * 0x1p-23 * 18 * static_cast<double>((k_end - k_begin) / 16 + 2);
  return sum;
}

template <class Out>
void expect_within(const Out& found, Expected expected, double added, const char* what, int64_t row,
                   int64_t column, int& failures) {
  const double want = expected.value + added;
  double bound = expected.bound + 0x1p-23 * (std::abs(want) + std::abs(added)) + 1e-30;
  if (sizeof(Out) == 2) bound += 0x1p-8 * (std::abs(want) + bound);
  const double got = static_cast<double>(value_of(found));
  if (std::abs(got - want) <= bound) return;  // NaN is not
  if (++failures <= 5) {
    ADD_FAILURE() << what << " [" << row << "," << column << "]: got " << got << ", want " << want
                  << " within " << bound;
  }
}

// The value of each E4M3 code.
inline std::vector<double> decoded_e4m3() {
  std::vector<double> result;
  for (int code = 0; code < 256; ++code) {
    result.push_back(static_cast<double>(to_float(f8e4m3{static_cast<uint8_t>(code)})));
  }
  return result;
}

template <class T>
bool same_bits(const std::vector<T>& x, const std::vector<T>& y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
}

}  // namespace hadal::test
