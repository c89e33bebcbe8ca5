// tensor/tensor.h: an owner of elements. Contiguous, row-major, up to four axes.
//
// Move-only; `share()` makes a second owner of the same elements, which is how several layers save
// one activation without copying it. Deep const: a const Tensor gives const views.
// Memory comes from an Arena, or is borrowed (read-only, for instance a mapped file).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hadal/tensor/arena.h"
#include "hadal/tensor/dtype.h"
#include "hadal/tensor/shape.h"
#include "hadal/tensor/view.h"

namespace hadal {

class Tensor {
 public:
  using Shape = hadal::Shape;

  Tensor() = default;  // empty: no elements, dtype F32
  // The source is left empty, so that has_data() of a moved-from Tensor tells the truth.
  Tensor(Tensor&& other) noexcept
      : owner_(std::move(other.owner_)),
        data_(std::exchange(other.data_, nullptr)),
        memory_(other.memory_),
        writable_(other.writable_),
        dtype_(other.dtype_),
        shape_(std::move(other.shape_)) {}
  Tensor& operator=(Tensor&& other) noexcept {
    owner_ = std::move(other.owner_);
    data_ = std::exchange(other.data_, nullptr);
    memory_ = other.memory_;
    writable_ = other.writable_;
    dtype_ = other.dtype_;
    shape_ = std::move(other.shape_);
    return *this;
  }

  static Tensor empty(Arena& arena, DType dtype, Shape shape);  // contents undefined
  static Tensor zeros(Arena& arena, DType dtype, Shape shape);
  // Elements of somebody else on the host, kept alive by `owner`; writing through them is refused.
  static Tensor borrowed(DType dtype, Shape shape, const void* data,
                         std::shared_ptr<const void> owner);

  Tensor share() const;              // same elements, second owner
  Tensor clone(Arena& arena) const;  // own copy, in the arena's memory
  // The same elements where the host may read them: shared, or a copy that waited for its device.
  Tensor to_host() const;
  // The same elements where the arena's memory is: shared if they are there already.
  Tensor placed_in(Arena& arena) const;
  // Same elements under another shape of the same size; shares ownership.
  Tensor reshaped(Shape shape) const;

  bool has_data() const { return data_ != nullptr; }
  // Whether the host may read the elements; views of others are for the device's ops alone.
  bool on_host() const { return memory_->on_host(); }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  int64_t dim(int axis) const { return shape_[static_cast<size_t>(axis)]; }
  int64_t size() const;  // elements
  int64_t bytes() const { return size() * dtype_bytes(dtype_); }

  const void* raw() const { return data_; }
  void* raw();  // ShapeError for borrowed elements
  // Takes over bytes() from the host.
  void read_from(const void* host);

  // REQUIRES the dtype of T; ShapeError otherwise, and if the rank differs.
  template <class T, int Rank>
  View<T, Rank> view() {
    check<T>(Rank);
    return View<T, Rank>(static_cast<T*>(raw()), fixed_shape<Rank>());
  }
  template <class T, int Rank>
  View<const T, Rank> view() const {
    check<T>(Rank);
    return View<const T, Rank>(static_cast<const T*>(data_), fixed_shape<Rank>());
  }
  // All elements as one span.
  template <class T>
  std::span<T> flat() {
    check<T>(-1);
    return {static_cast<T*>(raw()), static_cast<size_t>(size())};
  }
  template <class T>
  std::span<const T> flat() const {
    check<T>(-1);
    return {static_cast<const T*>(data_), static_cast<size_t>(size())};
  }
  // The common case: f32 matrices and vectors.
  View<float, 2> mat() { return view<float, 2>(); }
  View<const float, 2> mat() const { return view<float, 2>(); }
  View<float, 1> vec() { return view<float, 1>(); }
  View<const float, 1> vec() const { return view<float, 1>(); }

 private:
  template <int Rank>
  std::array<int64_t, static_cast<size_t>(Rank)> fixed_shape() const {
    std::array<int64_t, static_cast<size_t>(Rank)> result{};
    for (size_t axis = 0; axis < result.size(); ++axis) result[axis] = shape_[axis];
    return result;
  }
  template <class T>
  void check(int rank) const {
    check_access(DTypeOf<T>::value, rank);
  }
  void check_access(DType dtype, int rank) const;

  std::shared_ptr<const void> owner_;
  const void* data_ = nullptr;
  Memory* memory_ = &host_memory();
  bool writable_ = false;
  DType dtype_ = DType::kF32;
  Shape shape_;
};

std::string shape_text(const Tensor::Shape& shape);  // "[4,64]"

}  // namespace hadal
