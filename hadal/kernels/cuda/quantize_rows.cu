#include "hadal/kernels/cuda/fp8_tile.h"

namespace hadal::cuda {
namespace {

constexpr int kThreads = 256;

// Where the values of row tiles come from: 16 bytes of each operand a lane.
template <class T>
struct Plain {
  using Value = T;
  struct Held {
    uint4 x;
  };
  const T* x;
  int64_t stride;
  __device__ Held load(int64_t row, int64_t col, int64_t cols, bool aligned) const {
    return {load16(x + row * stride, col, cols, aligned)};
  }
  __device__ static float2 pair(const Held& held, int j) { return pair_of<T>(held.x, j); }
};

template <class T>
struct SwiGlu {
  using Value = T;
  struct Held {
    uint4 gate, up;
  };
  const T* gate;
  const T* up;
  int64_t gate_stride, up_stride;
  __device__ Held load(int64_t row, int64_t col, int64_t cols, bool aligned) const {
    return {load16(gate + row * gate_stride, col, cols, aligned),
            load16(up + row * up_stride, col, cols, aligned)};
  }
  __device__ static float h(float g, float u) { return g / (1.0F + expf(-g)) * u; }
  __device__ static float2 pair(const Held& held, int j) {
    const float2 g = pair_of<T>(held.gate, j), u = pair_of<T>(held.up, j);
    return make_float2(h(g.x, u.x), h(g.y, u.y));
  }
};

// A unit is what a warp reads at once: 512 bytes of each operand, one tile of F32 or two of BF16. A warp
// reads kUnits of them before it uses the first.
constexpr int kUnits = 4;

template <class Source, bool kPowerOfTwo>
__global__ void __launch_bounds__(kThreads)
    row_tiles_kernel(TileCodes out, Source source, unsigned n_units, unsigned units_of_row,
                     int64_t cols, bool amax_floor, bool aligned) {
  constexpr int kN = kPer<typename Source::Value>;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const unsigned warp = blockIdx.x * (kThreads / kWarp) + threadIdx.x / kWarp;
  typename Source::Held held[kUnits] = {};
  int64_t row[kUnits], col[kUnits];
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    const unsigned unit = warp * kUnits + static_cast<unsigned>(u);
    row[u] = unit / units_of_row;
    col[u] = int64_t{unit % units_of_row} * (kWarp * kN) + lane * kN;
    if (unit >= n_units) col[u] = cols;  // nothing is there
    if (col[u] < cols) held[u] = source.load(row[u], col[u], cols, aligned);
  }
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    float v[kN];
#pragma unroll
    for (int j = 0; j < kN; j += 2) {
      const float2 pair = Source::pair(held[u], j);
      v[j] = pair.x, v[j + 1] = pair.y;
    }
    store_row_tile<kPowerOfTwo>(out, v, row[u], col[u], cols, col[u] < cols, amax_floor, aligned);
  }
}

template <class Source>
void run_row_tiles(const char* what, Stream& stream, const TileCodes& out, const Source& source,
                   int64_t rows, int64_t cols, ScaleRule rule, bool aligned) {
  constexpr int kN = kPer<typename Source::Value>;
  const int64_t units_of_row = ceil_div(cols, int64_t{kWarp * kN}), n_units = rows * units_of_row;
  const Grid grid = one_each(ceil_div(n_units, int64_t{kUnits}) * kWarp, kThreads);
  const auto kernel =
      rule.power_of_two ? row_tiles_kernel<Source, true> : row_tiles_kernel<Source, false>;
  launch(what, kernel, grid, stream, out, source, static_cast<unsigned>(n_units),
         static_cast<unsigned>(units_of_row), cols, rule.amax_floor, aligned);
}

// Blocks walk over rows, so that w stays in a multiprocessor's cache. A row's first kHeld * 16 bytes a
// thread are read once; what a longer row has beyond is read again (F32: beyond 8192 columns).
constexpr int kHeld = 4, kNormThreads = 512;

template <class T>
__device__ void scaled_by(float (&v)[kPer<T>], const uint4& x, const float* w, float r, int64_t col,
                          int64_t cols, bool aligned) {
#pragma unroll
  for (int j = 0; j < kPer<T>; j += 2) {
    const float2 pair = pair_of<T>(x, j);
    v[j] = pair.x * r, v[j + 1] = pair.y * r;
  }
#pragma unroll
  for (int j = 0; j < kPer<T>; j += 4) {
    const uint4 four = load16(w, col + j, cols, aligned);
    for (int i = 0; i < 4; ++i) v[j + i] = __uint_as_float(word(four, i)) * v[j + i];
  }
}

template <class T>
__device__ double sum_of_squares(const uint4& x) {
  double sum = 0;
#pragma unroll
  for (int j = 0; j < kPer<T>; j += 2) {
    const float2 pair = pair_of<T>(x, j);
    sum += double{pair.x} * double{pair.x};
    sum += double{pair.y} * double{pair.y};
  }
  return sum;
}

template <class T, bool kPowerOfTwo>
__global__ void __launch_bounds__(kNormThreads, 2)
    norm_tiles_kernel(TileCodes out, float* r_of_row, View<const T, 2> x, const float* w, float eps,
                      bool amax_floor, bool aligned) {
  constexpr int kN = kPer<T>;
  const int64_t rows = x.dim(0), cols = x.dim(1), step = int64_t{blockDim.x} * kN;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* const x_row = x.data() + row * x.stride(0);
    const int64_t first = int64_t{threadIdx.x} * kN;
    uint4 held[kHeld];
#pragma unroll
    for (int i = 0; i < kHeld; ++i) held[i] = load16(x_row, first + i * step, cols, aligned);
    double sum = 0;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) sum += sum_of_squares<T>(held[i]);
    for (int64_t col = first + kHeld * step; col < cols; col += step) {
      sum += sum_of_squares<T>(load16(x_row, col, cols, aligned));
    }
    sum = sum_block(sum);
    const double mean = sum / static_cast<double>(cols);
    const auto r = static_cast<float>(1.0 / sqrt(mean + double{eps}));
    if (threadIdx.x == 0) r_of_row[row] = r;
    const auto store = [&](const uint4& values, int64_t col) {
      float v[kN];
      scaled_by<T>(v, values, w, r, col, cols, aligned);
      store_row_tile<kPowerOfTwo>(out, v, row, col, cols, col < cols, amax_floor, aligned);
    };
    // Whole warps run through here: a tile's lanes meet in it.
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (i * step < cols) store(held[i], first + i * step);
    }
    for (int64_t begin = kHeld * step; begin < cols; begin += step) {
      store(load16(x_row, first + begin, cols, aligned), first + begin);
    }
  }
}

}  // namespace

template <class T>
void quantize_row_tiles(Stream& stream, const TileCodes& out, View<const T, 2> x, ScaleRule rule) {
  const bool aligned = in_steps_of(kPer<T>, x.data(), x.stride(0), x.dim(1)) &&
                       in_steps_of(kPer<T>, out.codes, out.stride, x.dim(1));
  run_row_tiles("quantize row tiles", stream, out, Plain<T>{x.data(), x.stride(0)}, x.dim(0),
                x.dim(1), rule, aligned);
}

template <class T>
void swiglu_row_tiles(Stream& stream, const TileCodes& out, View<const T, 2> gate,
                      View<const T, 2> up, ScaleRule rule) {
  const int64_t cols = gate.dim(1);
  const bool aligned = in_steps_of(kPer<T>, gate.data(), gate.stride(0), cols) &&
                       in_steps_of(kPer<T>, up.data(), up.stride(0), cols) &&
                       in_steps_of(kPer<T>, out.codes, out.stride, cols);
  run_row_tiles("SwiGLU and row tiles", stream, out,
                SwiGlu<T>{gate.data(), up.data(), gate.stride(0), up.stride(0)}, gate.dim(0), cols,
                rule, aligned);
}

template <class T>
void rmsnorm_row_tiles(Stream& stream, const TileCodes& out, View<float, 1> r, View<const T, 2> x,
                       View<const float, 1> w, float eps, ScaleRule rule) {
  constexpr int64_t kBlocks = 4224;  // 32, of small ones, for each of an H100's 132 multiprocessors
  const int64_t rows = x.dim(0), cols = x.dim(1);
  if (cols == 0) return;
  const bool aligned = in_steps_of(kPer<T>, x.data(), x.stride(0), cols) &&
                       in_steps_of(kPer<T>, out.codes, out.stride, cols) &&
                       in_steps_of(4, w.data(), 0, cols);
  const int64_t lanes = ceil_div(cols, int64_t{kPer<T> * kHeld});
  const auto threads = static_cast<int>(std::min(round_up(lanes, kWarp), int64_t{kNormThreads}));
  const auto kernel = rule.power_of_two ? norm_tiles_kernel<T, true> : norm_tiles_kernel<T, false>;
  launch("RMSNorm and row tiles", kernel, block_each(std::min(rows, kBlocks), threads), stream, out,
         r.data(), x, w.data(), eps, rule.amax_floor, aligned);
}

#define HADAL_INSTANTIATE(T)                                                                       \
  template void quantize_row_tiles<T>(Stream&, const TileCodes&, View<const T, 2>, ScaleRule);     \
  template void swiglu_row_tiles<T>(Stream&, const TileCodes&, View<const T, 2>, View<const T, 2>, \
                                    ScaleRule);                                                    \
  template void rmsnorm_row_tiles<T>(Stream&, const TileCodes&, View<float, 1>, View<const T, 2>,  \
                                     View<const float, 1>, float, ScaleRule);
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(bf16)
#undef HADAL_INSTANTIATE

}  // namespace hadal::cuda
