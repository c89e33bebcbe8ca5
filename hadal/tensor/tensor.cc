#include "hadal/tensor/tensor.h"

#include <algorithm>

#include "hadal/core/checked_math.h"

namespace hadal {
namespace {

int64_t product(const Tensor::Shape& shape) {
  int64_t n = 1;
  for (const int64_t extent : shape) {
    const auto next = extent < 0 ? std::nullopt : checked_mul(n, extent);
    if (!next) throw ShapeError("tensor: impossible shape " + shape_text(shape));
    n = *next;
  }
  return n;
}

}  // namespace

std::string shape_text(const Tensor::Shape& shape) {
  std::string text = "[";
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis > 0) text += ",";
    text += std::to_string(shape[axis]);
  }
  return text + "]";
}

Tensor Tensor::empty(Arena& arena, DType dtype, Shape shape) {
  const auto bytes = checked_mul(product(shape), dtype_bytes(dtype));
  if (!bytes) throw ShapeError("tensor: impossible shape " + shape_text(shape));
  Tensor result;
  const Arena::Block block = arena.take(*bytes);
  result.owner_ = std::shared_ptr<const void>(
      block.data, [&arena, block](const void*) { arena.give_back(block); });
  result.data_ = block.data;
  result.memory_ = &arena.memory();
  result.writable_ = true;
  result.dtype_ = dtype;
  result.shape_ = std::move(shape);
  return result;
}

Tensor Tensor::zeros(Arena& arena, DType dtype, Shape shape) {
  Tensor result = empty(arena, dtype, std::move(shape));
  arena.memory().zero(result.raw(), result.bytes());
  return result;
}

Tensor Tensor::borrowed(DType dtype, Shape shape, const void* data,
                        std::shared_ptr<const void> owner) {
  Tensor result;
  result.owner_ = std::move(owner);
  result.data_ = data;
  result.dtype_ = dtype;
  result.shape_ = std::move(shape);
  return result;
}

Tensor Tensor::share() const {
  Tensor result;
  result.owner_ = owner_;
  result.data_ = data_;
  result.memory_ = memory_;
  result.writable_ = writable_;
  result.dtype_ = dtype_;
  result.shape_ = shape_;
  return result;
}

Tensor Tensor::clone(Arena& arena) const {
  Tensor result = empty(arena, dtype_, shape_);
  Memory& copier = on_host() ? arena.memory() : *memory_;
  if (size() > 0) copier.copy(result.raw(), data_, bytes());
  return result;
}

Tensor Tensor::to_host() const {
  if (on_host()) return share();
  Tensor result;
  void* const block = host_memory().allocate(std::max<int64_t>(bytes(), 1));
  result.owner_ =
      std::shared_ptr<const void>(block, [block](const void*) { host_memory().release(block); });
  result.data_ = block;
  result.writable_ = true;
  result.dtype_ = dtype_;
  result.shape_ = shape_;
  if (size() > 0) memory_->copy(block, data_, bytes());
  return result;
}

Tensor Tensor::placed_in(Arena& arena) const {
  const bool there = on_host() ? arena.memory().on_host() : memory_ == &arena.memory();
  return there ? share() : clone(arena);
}

void Tensor::read_from(const void* host) {
  if (size() > 0) memory_->copy(raw(), host, bytes());
}

Tensor Tensor::reshaped(Shape shape) const {
  if (product(shape) != size()) {
    throw ShapeError(concat("tensor: cannot see ", shape_text(shape_), " as ", shape_text(shape)));
  }
  Tensor result = share();
  result.shape_ = std::move(shape);
  return result;
}

int64_t Tensor::size() const {
  if (!data_ && shape_.empty()) return 0;
  int64_t n = 1;
  for (const int64_t extent : shape_) n *= extent;
  return n;
}

void* Tensor::raw() {
  if (data_ && !writable_) throw ShapeError("tensor: borrowed elements are read-only");
  return const_cast<void*>(data_);
}

void Tensor::check_access(DType dtype, int rank) const {
  if (dtype != dtype_ && has_data()) {
    throw ShapeError(
        concat("tensor: elements are ", dtype_name(dtype_), ", asked for ", dtype_name(dtype)));
  }
  if (rank >= 0 && rank != this->rank()) {
    throw ShapeError(concat("tensor: shape ", shape_text(shape_), " has not ", rank, " axes"));
  }
}

}  // namespace hadal
