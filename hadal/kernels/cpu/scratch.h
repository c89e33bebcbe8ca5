// kernels/cpu/scratch.h: per-thread working memory that stays allocated between calls, so that
// packing a block costs no allocation. Contents are undefined at every take().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace hadal::cpu {

class Scratch {
 public:
  // At least n floats, 64-byte aligned; valid until the next take() of the same object.
  float* take(int64_t n) {
    if (n > capacity_) {
      block_.reset(static_cast<float*>(
          ::operator new (static_cast<size_t>(n) * sizeof(float), std::align_val_t{kAlignment})));
      capacity_ = n;
    }
    return block_.get();
  }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(float* block) const { ::operator delete (block, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<float, Free> block_;
  int64_t capacity_ = 0;
};

}  // namespace hadal::cpu
