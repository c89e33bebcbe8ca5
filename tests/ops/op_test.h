// tests/ops/op_test.h: what every op's test does: agree with the reference on odd shapes, with any
// number of threads bit for bit, and leave the memory beside its output alone.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/ops/compute_device.h"
#include "tests/support/compare.h"
#include "tests/support/devices.h"

namespace hadal::test {

// A context with its own pool and arena.
class Machine {
 public:
  explicit Machine(Device device, int n_threads = 1)
      : pool_(n_threads), device_(device), ctx_(device_.context(pool_, arena_)) {}
  Context& ctx() { return ctx_; }

 private:
  ThreadPool pool_;
  ComputeDevice device_;
  Arena arena_{memory_of_tests()};  // which kernels of a card reach too
  Context ctx_;
};

// A [rows, cols] matrix whose rows stand `pad` elements apart; the gaps hold a canary.
template <class Real>
class Grid {
 public:
  static constexpr Real kCanary = Real{-77.25};
  Grid(int64_t rows, int64_t cols, int64_t pad = 0)
      : rows_(rows),
        cols_(cols),
        stride_(cols + pad),
        memory_(static_cast<size_t>(rows * (cols + pad) + 1), kCanary) {}
  Grid(int64_t rows, int64_t cols, int64_t pad, const std::vector<Real>& values)
      : Grid(rows, cols, pad) {
    for (int64_t i = 0; i < rows * cols; ++i) {
      memory_[static_cast<size_t>(i / cols * stride_ + i % cols)] = values[static_cast<size_t>(i)];
    }
  }
  View<Real, 2> view() { return {memory_.data(), {rows_, cols_}, {stride_, 1}}; }
  View<const Real, 2> view() const { return {memory_.data(), {rows_, cols_}, {stride_, 1}}; }
  // The elements; fails the test if the op wrote between or behind them.
  std::vector<Real> values() const {
    bool intact = memory_.back() == kCanary;
    for (int64_t t = 0; t < rows_; ++t) {
      for (int64_t i = cols_; i < stride_; ++i) {
        intact &= memory_[static_cast<size_t>(t * stride_ + i)] == kCanary;
      }
    }
    EXPECT_TRUE(intact) << "wrote outside of its [" << rows_ << "," << cols_ << "] elements";
    return elements(view());
  }

 private:
  int64_t rows_, cols_, stride_;
  std::vector<Real> memory_;
};

template <class Real>
View<Real, 1> vector_view(std::vector<Real>& values) {
  return {values.data(), {static_cast<int64_t>(values.size())}};
}
template <class Real>
View<const Real, 1> vector_view(const std::vector<Real>& values) {
  return {values.data(), {static_cast<int64_t>(values.size())}};
}

// What an op wrote, and how long its rows are: 1 where every number is a row of its own (a norm, a
// loss), 0 where all are one.
struct Output {
  std::vector<float> values;
  int64_t row_length;
  std::vector<double> scale{};  // of each row, where its terms cancel
  Output(const Grid<float>& grid) : values(grid.values()), row_length(grid.view().dim(1)) {}
  Output(std::vector<float> flat, int64_t row = 0, std::vector<double> of_each_row = {})
      : values(std::move(flat)), row_length(row), scale(std::move(of_each_row)) {}
};
using Outputs = std::vector<Output>;

// `run` performs the op with the given context on inputs it makes itself and returns its outputs.
inline void expect_backends_agree(const std::function<Outputs(Context&)>& run,
                                  const Tolerance& tolerance, const std::string& what) {
  Machine reference(Device::kReference), one(Device::kCpu, 1), four(Device::kCpu, 4);
  const Outputs want = run(reference.ctx()), got = run(one.ctx()), spread = run(four.ctx());
  ASSERT_EQ(got.size(), want.size());
  Outputs of_card;
  if (has_card()) {
    Machine card(Device::kCuda);
    of_card = run(card.ctx());
    ASSERT_EQ(of_card.size(), want.size());
  }
  for (size_t i = 0; i < want.size(); ++i) {
    const std::string name = concat(what, ", output ", i);
    ASSERT_EQ(got[i].row_length, want[i].row_length);
    expect_close(got[i].values, want[i].values,
                 tolerance.in_rows_of(want[i].row_length).with_scale(want[i].scale), name);
    expect_close(spread[i].values, got[i].values, Tolerance::exact(),
                 name + ", 4 threads against 1");
    if (!of_card.empty()) {
      expect_close(of_card[i].values, want[i].values,
                   tolerance.in_rows_of(want[i].row_length).with_scale(want[i].scale),
                   name + ", on the card");
    }
  }
}

// Rows x columns that have broken kernels before: nothing, one element, less and more than a
// vector, enough work for several threads, more than the threads of a card's block hold at once.
struct Extents {
  int64_t rows, cols, pad;
};
inline const std::vector<Extents>& odd_extents() {
  static const std::vector<Extents> extents = {
      {0, 8, 0},    {1, 1, 0},     {3, 7, 2},    {5, 16, 0},   {2, 33, 3},   {17, 64, 5},
      {3, 1030, 1}, {301, 200, 7}, {2, 1032, 4}, {3, 5001, 1}, {2, 18004, 0}};
  return extents;
}
inline std::string text(const Extents& e) {
  return concat("[", e.rows, ",", e.cols, "] pad ", e.pad);
}

// Random values with one row of zeros and one of 1e4, where there are rows enough.
inline std::vector<float> hard_values(const Extents& e, uint64_t seed) {
  std::vector<float> values = random_values(e.rows * e.cols, seed);
  if (e.rows >= 3) {
    std::fill_n(values.begin() + e.cols, e.cols, 0.0F);
    std::fill_n(values.begin() + 2 * e.cols, e.cols, 1e4F);
  }
  return values;
}

// Central differences of `loss` over every element of `x` against `gradient`, in f64.
inline void expect_gradient(std::vector<double>& x, const std::function<double()>& loss,
                            const std::vector<double>& gradient, const std::string& what) {
  ASSERT_EQ(x.size(), gradient.size()) << what;
  std::vector<double> numeric(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double kept = x[i], step = 1e-5 * std::max(1.0, std::abs(kept));
    x[i] = kept + step;
    const double above = loss();
    x[i] = kept - step;
    const double below = loss();
    x[i] = kept;
    numeric[i] = (above - below) / (2.0 * step);
  }
  // The difference quotient is off by about step^2 f''' / 6 and by eps(f64) f / step, both near
  // 1e-10, whatever the element: every gradient has its own scale beside that.
  const double absolute = 1e-9 * std::max(1.0, std::abs(loss()));
  expect_close(
      gradient, numeric,
      {.element = 1e-7, .frobenius = 1e-7, .cosine = 1e-12, .absolute = absolute, .row_length = 1},
      what);
}

// sum_i weights[i] values[i]: a scalar that depends on every output with a different slope.
inline double weighted_sum(const std::vector<double>& values, const std::vector<double>& weights) {
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) sum += values[i] * weights[i];
  return sum;
}

}  // namespace hadal::test
