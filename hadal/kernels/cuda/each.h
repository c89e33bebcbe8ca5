// kernels/cuda/each.h: a kernel for every element of a matrix or a vector. What happens to it is a
// Body, which travels to the card by value:
//
//   template <int kWidth> __device__ auto at(int64_t row, int64_t column) const;   reads, computes
//   template <class Value> __device__ void store(int64_t row, int64_t column, const Value&) const;
//
// and of a vector the same without the row. A thread reads all it can hold before it stores, so loads
// wait together. Not yet run on a card. Whatever a value depends on beside its own element must not be written.
#pragma once

#include "hadal/kernels/cuda/pack.h"

namespace hadal::cuda {

inline constexpr int kEachThreads = 256;

template <int kWidth, class Body>
__global__ void on_rows(int64_t n_rows, int64_t n_packs, int log_per_row, Body body) {
  const int thread = static_cast<int>(threadIdx.x), per_row = 1 << log_per_row;
  const int64_t row = int64_t{blockIdx.x} * (kEachThreads >> log_per_row) + (thread >> log_per_row);
  const int64_t first = int64_t{blockIdx.y} * per_row * kInFlight + (thread & (per_row - 1));
  if (row >= n_rows) return;
  decltype(body.template at<kWidth>(row, first)) values[kInFlight];
  for (int u = 0; u < kInFlight; ++u) {
    const int64_t pack = first + u * per_row;
    if (pack < n_packs) values[u] = body.template at<kWidth>(row, pack * kWidth);
  }
  for (int u = 0; u < kInFlight; ++u) {
    const int64_t pack = first + u * per_row;
    if (pack < n_packs) body.store(row, pack * kWidth, values[u]);
  }
}

template <int kWidth, class Body>
__global__ void on_vector(int64_t n, Body body) {
  const int64_t n_packs = n / kWidth;
  const int64_t first = int64_t{blockIdx.x} * kEachThreads * kInFlight + threadIdx.x;
  decltype(body.template at<kWidth>(first)) values[kInFlight];
  for (int u = 0; u < kInFlight; ++u) {
    const int64_t pack = first + u * kEachThreads;
    if (pack < n_packs) values[u] = body.template at<kWidth>(pack * kWidth);
  }
  for (int u = 0; u < kInFlight; ++u) {
    const int64_t pack = first + u * kEachThreads;
    if (pack < n_packs) body.store(pack * kWidth, values[u]);
  }
  if constexpr (kWidth > 1) {  // what no pack holds
    const int64_t rest = n_packs * kWidth + first;
    if (blockIdx.x == 0 && rest < n) body.store(rest, body.template at<1>(rest));
  }
}

// fours: every row of every matrix is packs of four (in_fours).
template <class Body>
void each_of_rows(const char* what, Stream& stream, int64_t rows, int64_t cols, bool fours,
                  const Body& body) {
  const int64_t n_packs = fours ? cols / kFour : cols;
  int log_per_row = 3;
  while ((1 << log_per_row) < kEachThreads && (kInFlight << log_per_row) < n_packs) ++log_per_row;
  const int per_row = 1 << log_per_row;
  const Grid grid{dim3(static_cast<unsigned>(ceil_div(rows, kEachThreads / per_row)),
                       static_cast<unsigned>(ceil_div(n_packs, int64_t{per_row} * kInFlight))),
                  kEachThreads};
  launch(what, fours ? on_rows<kFour, Body> : on_rows<1, Body>, grid, stream, rows, n_packs,
         log_per_row, body);
}

// fours: every vector is packs of four from its first element on.
template <class Body>
void each_of_vector(const char* what, Stream& stream, int64_t n, bool fours, const Body& body) {
  const int64_t n_packs = fours ? ceil_div(n, kFour) : n;
  const Grid grid = one_each(ceil_div(n_packs, kInFlight), kEachThreads);
  launch(what, fours ? on_vector<kFour, Body> : on_vector<1, Body>, grid, stream, n, body);
}

}  // namespace hadal::cuda
