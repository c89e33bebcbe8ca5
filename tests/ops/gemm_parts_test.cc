// How products become regions and parts of the thread pool.
#include <gtest/gtest.h>

#include <deque>

#include "hadal/ops/gemm.h"
#include "tests/support/compare.h"
#include "tests/support/weights.h"

namespace hadal {
namespace {

using test::random_values;
using test::StoredWeight;

struct PlainMatrix {
  std::vector<float> values;
  View<float, 2> view;
  PlainMatrix(int64_t rows, int64_t cols, uint64_t seed)
      : values(random_values(rows * cols + 1, seed)), view(values.data(), {rows, cols}) {}
};

template <class Run>
PoolTrace traced(ThreadPool& pool, const Run& run) {
  pool.start_trace();
  run();
  return pool.stop_trace();
}

// A narrow result (a router's) is cut along its rows, a flat one along its columns: no thread is
// idle.
TEST(GemmParts, EveryThreadHasSome) {
  constexpr int kThreads = 4;
  ThreadPool pool(kThreads);
  Arena arena;
  Context ctx(pool, arena);
  const int64_t K = 700;
  for (const auto& [T, N] :
       {std::pair{1024, 16}, {1024, 64}, {1024, 1}, {96, 700}, {70, 2000}, {1, 4000}}) {
    const StoredWeight w(DType::kF32, N, K, 1);
    const PlainMatrix x(T, K, 2);
    PlainMatrix y(T, N, 3), dw(N, K, 4);
    const auto nt = [&] { gemm_nt(ctx, y.view, x.view, w.view()); };
    const auto tn = [&] { gemm_tn(ctx, dw.view, y.view, x.view); };
    EXPECT_GE(traced(pool, nt).parts, kThreads) << T << "x" << N;
    EXPECT_GE(traced(pool, tn).parts, kThreads) << T << "x" << N;
  }
}

// Nine equal products of four threads: two each, and the ninth in four pieces.
TEST(GemmParts, TheRestIsCutFiner) {
  ThreadPool pool(4);
  Arena arena;
  Context ctx(pool, arena);
  const int64_t T = 96, N = 128, K = 256;
  const StoredWeight w(DType::kF32, N, K, 1);
  const PlainMatrix x(T, K, 2);
  std::deque<PlainMatrix> results;
  std::vector<Product> products;
  for (int i = 0; i < 9; ++i) {
    products.push_back({results.emplace_back(T, N, 3).view, x.view, w.view()});
  }
  EXPECT_EQ(traced(pool, [&] { gemm_nt(ctx, products); }).parts, 8 + 4);
  EXPECT_EQ(results[8].values, results[0].values);
  products.pop_back();
  EXPECT_EQ(traced(pool, [&] { gemm_nt(ctx, products); }).parts, 8);
}

// Products of every kind of shape, as one list.
struct Listed {
  std::deque<StoredWeight> weights;
  std::deque<PlainMatrix> operands;
  std::deque<PlainMatrix> results;
  std::vector<Product> nt, nn;
  std::vector<WeightGradient> tn;

  Listed() {
    const DType forms[] = {DType::kF32, DType::kBF16, DType::kF16};
    uint64_t seed = 0;
    size_t form = 0;
    for (const auto& [T, N, K] : {std::array{1, 300, 70},
                                  {200, 130, 300},
                                  {0, 5, 7},
                                  {64, 31, 40},
                                  {65, 30, 33},
                                  {3, 0, 9},
                                  {7, 12, 0},
                                  {33, 700, 17}}) {
      const WeightView w = weights.emplace_back(forms[form++ % 3], N, K, ++seed).view();
      const PlainMatrix& x = operands.emplace_back(T, K, ++seed);
      const PlainMatrix& dy = operands.emplace_back(T, N, ++seed);
      const auto result = [&](int64_t rows, int64_t cols) {
        return results.emplace_back(rows, cols, ++seed).view;
      };
      const float beta = form % 2 == 0 ? 1.0F : 0.0F;
      nt.push_back({result(T, N), x.view, w, beta});
      nn.push_back({result(T, K), dy.view, w, 1.0F - beta});
      tn.push_back({result(N, K), dy.view, x.view});
    }
  }
  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> all;
    for (const PlainMatrix& each : results) all.push_back(each.values);
    return all;
  }
};

TEST(GemmList, EachIsBitForBitWhatItIsAlone) {
  Arena arena;
  for (const Device device : {Device::kCpu, Device::kReference}) {
    ThreadPool one(1);
    Context alone{one, arena, device};
    Listed single;
    for (const Product& each : single.nt) gemm_nt(alone, each.out, each.in, each.w, each.beta);
    for (const Product& each : single.nn) gemm_nn(alone, each.out, each.in, each.w, each.beta);
    for (const WeightGradient& each : single.tn) gemm_tn(alone, each.dw, each.dy, each.x);
    EXPECT_NE(single.values(), Listed().values());
    for (const int threads : {1, 2, 5}) {
      ThreadPool pool(threads);
      Context ctx{pool, arena, device};
      Listed list;
      gemm_nt(ctx, list.nt);
      gemm_nn(ctx, list.nn);
      gemm_tn(ctx, list.tn);
      EXPECT_EQ(list.values(), single.values()) << threads << " threads";
    }
  }
}

TEST(GemmList, IsOneRegion) {
  ThreadPool pool(2);
  Arena arena;
  Context ctx(pool, arena);
  Listed list;
  EXPECT_EQ(traced(pool, [&] { gemm_nt(ctx, list.nt); }).regions, 1);
  EXPECT_EQ(traced(pool, [&] { gemm_nn(ctx, list.nn); }).regions, 1);
  EXPECT_EQ(traced(pool, [&] { gemm_tn(ctx, list.tn); }).regions, 1);
  const auto nothing = [&] { gemm_nt(ctx, std::span<const Product>()); };
  EXPECT_EQ(traced(pool, nothing).regions, 0);
}

TEST(GemmList, OneWrongShapeLeavesAllResultsAlone) {
  ThreadPool pool(2);
  Arena arena;
  Context ctx(pool, arena);
  Listed list;
  const auto before = list.values();
  list.nt.back().in = list.nt.front().in;
  list.tn.back().x = list.tn.front().x;
  EXPECT_THROW(gemm_nt(ctx, list.nt), ShapeError);
  EXPECT_THROW(gemm_tn(ctx, list.tn), ShapeError);
  EXPECT_EQ(list.values(), before);
}

}  // namespace
}  // namespace hadal
