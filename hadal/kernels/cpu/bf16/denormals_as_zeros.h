// kernels/cpu/bf16/denormals_as_zeros.h: while one lives, this thread's F32 arithmetic takes denormal
// numbers for zeros and gives none: as instructions for products of BF16 do, whatever is set.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace hadal::cpu {

class DenormalsAsZeros {
 public:
  DenormalsAsZeros() : before_(control()) { set_control(before_ | kFlush); }
  ~DenormalsAsZeros() { set_control(before_); }
  DenormalsAsZeros(const DenormalsAsZeros&) = delete;
  DenormalsAsZeros& operator=(const DenormalsAsZeros&) = delete;

 private:
#if defined(__SSE2__)
  static constexpr uint64_t kFlush = 0x8040;  // of results, and of operands
  static uint64_t control() { return _mm_getcsr(); }
  static void set_control(uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
#elif defined(__aarch64__)
  static constexpr uint64_t kFlush = uint64_t{1} << 24;
  static uint64_t control() {
    uint64_t bits = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
    return bits;
  }
  static void set_control(uint64_t bits) { __asm__ volatile("msr fpcr, %0" : : "r"(bits)); }
#else
#error "how does this processor take denormal numbers for zeros?"
#endif
  uint64_t before_;
};

}  // namespace hadal::cpu
