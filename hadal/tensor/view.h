// tensor/view.h: a pointer with extents and strides, as ops take and kernels index it. Owns
// nothing.
//
//   x(t, i)   one element        x.row(t)  the contiguous last axis at the leading index t (Rank 2)
// A View<float, R> converts to View<const float, R>. Strides count elements; the last axis is
// always contiguous (stride 1), the leading ones may jump: a slice of columns is a view. constexpr, so
// that kernels of a card take views too.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "hadal/core/error.h"

namespace hadal {

template <class T, int Rank>
class View {
 public:
  using Shape = std::array<int64_t, static_cast<size_t>(Rank)>;

  View() = default;
  View(T* data, const Shape& shape) : data_(data), shape_(shape) {
    int64_t stride = 1;
    for (int axis = Rank - 1; axis >= 0; --axis) {
      strides_[static_cast<size_t>(axis)] = stride;
      stride *= shape[static_cast<size_t>(axis)];
    }
  }
  // REQUIRES strides[Rank-1] == 1
  View(T* data, const Shape& shape, const Shape& strides)
      : data_(data), shape_(shape), strides_(strides) {}
  template <class U>
  requires(std::is_const_v<T>&& std::is_same_v<U, std::remove_const_t<T>>)
      View(const View<U, Rank>& other)  // NOLINT(google-explicit-constructor): adds const only
      : data_(other.data()), shape_(other.shape()), strides_(other.strides()) {}

  constexpr T* data() const { return data_; }
  constexpr const Shape& shape() const { return shape_; }
  constexpr const Shape& strides() const { return strides_; }
  constexpr int64_t dim(int axis) const { return shape_[static_cast<size_t>(axis)]; }
  constexpr int64_t stride(int axis) const { return strides_[static_cast<size_t>(axis)]; }
  constexpr int64_t size() const {
    int64_t n = 1;
    for (const int64_t extent : shape_) n *= extent;
    return n;
  }
  constexpr bool is_contiguous() const {
    int64_t stride = 1;
    for (int axis = Rank - 1; axis >= 0; --axis) {
      if (dim(axis) != 1 && this->stride(axis) != stride) return false;
      stride *= dim(axis);
    }
    return true;
  }

  template <class... Index>
  constexpr T& operator()(Index... index) const {
    static_assert(sizeof...(Index) == static_cast<size_t>(Rank));
    const int64_t at[] = {static_cast<int64_t>(index)...};
    int64_t offset = 0;
    for (size_t axis = 0; axis < static_cast<size_t>(Rank); ++axis)
      offset += at[axis] * strides_[axis];
    return data_[offset];
  }
  constexpr std::span<T> row(int64_t t) const requires(Rank == 2) {
    return {data_ + t * strides_[0], static_cast<size_t>(shape_[1])};
  }
  // Rows [begin, end) of the first axis.
  constexpr View rows(int64_t begin, int64_t end) const {
    View result = *this;
    result.data_ = data_ + begin * strides_[0];
    result.shape_[0] = end - begin;
    return result;
  }
  // Columns [begin, end) of the last axis.
  constexpr View columns(int64_t begin, int64_t end) const {
    View result = *this;
    result.data_ = data_ + begin;
    result.shape_[static_cast<size_t>(Rank - 1)] = end - begin;
    return result;
  }

 private:
  T* data_ = nullptr;
  Shape shape_{};
  Shape strides_{};
};

template <size_t Rank>
std::string shape_text(const std::array<int64_t, Rank>& shape) {
  std::string text = "[";
  for (size_t axis = 0; axis < Rank; ++axis) {
    if (axis > 0) text += ",";
    text += std::to_string(shape[axis]);
  }
  return text + "]";
}

// ShapeError: "rmsnorm y: got [4,64], want [4,48]"
template <class T, int Rank>
void expect_shape(const View<T, Rank>& view, const typename View<T, Rank>::Shape& want,
                  const char* what) {
  if (view.shape() != want) {
    throw ShapeError(concat(what, ": got ", shape_text(view.shape()), ", want ", shape_text(want)));
  }
}

}  // namespace hadal
