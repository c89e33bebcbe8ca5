// kernels/cuda/launch.h: how kernels are started. The same source is compiled by nvcc for a card and,
// for tests, by the host's compiler: there tests/support/simt/ runs the threads of a block in turn.
#pragma once

#include <cuda_runtime.h>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cuda/stream.h"

namespace hadal::cuda {

inline constexpr int kWarp = 32;

struct Grid {
  dim3 blocks;
  int threads = 256;
  int64_t shared_bytes = 0;  // of HADAL_DYNAMIC_SHARED
};

// Blocks of `threads` for n items, one item a thread.
inline Grid one_each(int64_t n, int threads = 256) {
  return {dim3(static_cast<unsigned>(ceil_div(n, int64_t{threads}))), threads};
}
// One block for each of n rows.
inline Grid block_each(int64_t n, int threads = 256) {
  return {dim3(static_cast<unsigned>(n)), threads};
}

// Nothing is launched for a grid without blocks.
template <class... Params, class... Args>
void launch(const char* what, void (*kernel)(Params...), const Grid& grid, Stream& stream,
            const Args&... args) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
#ifdef __CUDACC__
  constexpr int64_t kGranted = 48 << 10;
  if (grid.shared_bytes > kGranted) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(grid.shared_bytes)),
          what);
  }
  kernel<<<grid.blocks, static_cast<unsigned>(grid.threads), static_cast<size_t>(grid.shared_bytes),
           own(stream).handle()>>>(static_cast<Params>(args)...);
  launched(what);
#else
  static_cast<void>(what), static_cast<void>(stream);
  simt::run(grid.blocks, grid.threads, grid.shared_bytes,
            [&] { kernel(static_cast<Params>(args)...); });
#endif
}

// HADAL_DYNAMIC_SHARED(float, tile): a pointer to the block's dynamic shared memory.
#ifdef __CUDACC__
#define HADAL_DYNAMIC_SHARED(type, name)                      \
  extern __shared__ __align__(16) unsigned char name##_raw[]; \
  type* const name = reinterpret_cast<type*>(name##_raw)
#else
#define HADAL_DYNAMIC_SHARED(type, name) \
  type* const name = static_cast<type*>(simt::dynamic_shared())
#endif

}  // namespace hadal::cuda
