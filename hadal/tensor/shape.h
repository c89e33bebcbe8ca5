// tensor/shape.h: the extents of a tensor, outermost first; none for a scalar. Kept in place: a step
// makes thousands of tensors, and none of them shall ask for memory to say its shape.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "hadal/core/error.h"

namespace hadal {

class Shape {
 public:
  static constexpr size_t kMaxRank = 8;  // files may hold what no op takes

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents)
      : Shape(std::span(extents.begin(), extents.end())) {}
  explicit Shape(std::span<const int64_t> extents) : rank_(extents.size()) {
    if (rank_ > kMaxRank) {
      throw ShapeError(
          concat("tensor: too many axes (found ", rank_, ", expected at most ", kMaxRank, ")"));
    }
    std::ranges::copy(extents, extents_.begin());
  }

  // REQUIRES size() < kMaxRank
  void push_back(int64_t extent) { extents_[rank_++] = extent; }
  void clear() { rank_ = 0; }
  size_t size() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  int64_t& operator[](size_t axis) { return extents_[axis]; }
  int64_t operator[](size_t axis) const { return extents_[axis]; }
  int64_t front() const { return extents_[0]; }
  int64_t back() const { return extents_[rank_ - 1]; }
  const int64_t* begin() const { return extents_.data(); }
  const int64_t* end() const { return extents_.data() + rank_; }
  friend bool operator==(const Shape& a, const Shape& b) { return std::ranges::equal(a, b); }

 private:
  std::array<int64_t, kMaxRank> extents_{};
  size_t rank_ = 0;
};

}  // namespace hadal
