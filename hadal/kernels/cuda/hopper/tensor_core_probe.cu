#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda/hopper/products.cuh"
#include "hadal/kernels/cuda/hopper/tensor_core_probe.h"

namespace hadal::cuda {
namespace {

constexpr int kRowsA = 64, kRowsB = 8;
constexpr int kThreads = 128;    // one warpgroup
constexpr int kSliceBytes = 32;  // of the inner axis that one instruction multiplies
constexpr int kChunkBytes = 16;

// Operands lie in shared memory without swizzle: core matrices of 8 rows x 16 bytes, 128 bytes in one
// piece; the second half of the inner axis follows 128 bytes behind, the next 8 rows 256.
constexpr int kCoreBytes = 128, kRowGroupBytes = 256;

__device__ int place(int row, int chunk) {
  return row / 8 * kRowGroupBytes + chunk * kCoreBytes + row % 8 * kChunkBytes;
}

__device__ auto operand_at(const void* shared) {
  return operand<kRowGroupBytes / 16>(shared_address(shared), kCoreBytes);
}

// One block of one warpgroup for each tile.
template <ProbeOperands kOperands, int kInFlight>
__global__ void __launch_bounds__(kThreads)
    probe_kernel(const uint8_t* a, const uint8_t* b, const float* accumulator, float* out,
                 int instructions) {
  __shared__ alignas(128) uint8_t shared_a[kInFlight][kRowsA * kSliceBytes];
  __shared__ alignas(128) uint8_t shared_b[kInFlight][kRowsB * kSliceBytes];
  const int64_t tile = blockIdx.x;
  const int thread = static_cast<int>(threadIdx.x);
  const int row = thread / 2, chunk = thread % 2;
  const int lane = thread % 32, warp = thread / 32;
  const int64_t row_bytes = int64_t{kSliceBytes} * instructions;

  // Element i of a thread: row 16 warp + lane / 4 + 8 (i / 2), column 2 (lane % 4) + i % 2.
  const int64_t first = (tile * kRowsA + 16 * warp + lane / 4) * kRowsB + 2 * (lane % 4);
  float d[4];
  for (int i = 0; i < 4; ++i) {
    d[i] = accumulator == nullptr ? __int_as_float(0x7FC00000)
                                  : accumulator[first + i / 2 * 8 * kRowsB + i % 2];
  }
  for (int begin = 0; begin < instructions; begin += kInFlight) {
    __syncthreads();  // the instructions before this have read theirs: they were waited for
    for (int slice = 0; slice < kInFlight; ++slice) {
      const int64_t at = int64_t{kSliceBytes} * (begin + slice) + kChunkBytes * chunk;
      *reinterpret_cast<uint4*>(shared_a[slice] + place(row, chunk)) =
          *reinterpret_cast<const uint4*>(a + (tile * kRowsA + row) * row_bytes + at);
      if (row < kRowsB) {
        *reinterpret_cast<uint4*>(shared_b[slice] + place(row, chunk)) =
            *reinterpret_cast<const uint4*>(b + (tile * kRowsB + row) * row_bytes + at);
      }
    }
    fence_async();
    __syncthreads();
    products_fence();
#pragma unroll
    for (int slice = 0; slice < kInFlight; ++slice) {
      const auto slice_a = operand_at(shared_a[slice]), slice_b = operand_at(shared_b[slice]);
      const bool add = accumulator != nullptr || begin + slice > 0;
      if constexpr (kOperands == ProbeOperands::kE4M3) {
        product_e4m3(d, slice_a, slice_b, add);
      } else {
        product_bf16<false, false>(d, slice_a, slice_b, add);
      }
    }
    products_commit();
    products_wait<0>();
    hold(d);
  }
  for (int i = 0; i < 4; ++i) out[first + i / 2 * 8 * kRowsB + i % 2] = d[i];
}

template <ProbeOperands kOperands>
void launch(cudaStream_t stream, const TensorCoreProbe& p) {
  const auto* a = static_cast<const uint8_t*>(p.a);
  const auto* b = static_cast<const uint8_t*>(p.b);
  const auto blocks = static_cast<unsigned>(p.tiles);
  if (p.four_in_flight) {
    probe_kernel<kOperands, 4>
        <<<blocks, kThreads, 0, stream>>>(a, b, p.accumulator, p.out, p.instructions);
  } else {
    probe_kernel<kOperands, 1>
        <<<blocks, kThreads, 0, stream>>>(a, b, p.accumulator, p.out, p.instructions);
  }
  launched("tensor core probe");
}

}  // namespace

void tensor_core_probe(cudaStream_t stream, const TensorCoreProbe& probe) {
  if (probe.tiles == 0) return;
  if (probe.operands == ProbeOperands::kE4M3) {
    launch<ProbeOperands::kE4M3>(stream, probe);
  } else {
    launch<ProbeOperands::kBF16>(stream, probe);
  }
}

}  // namespace hadal::cuda
