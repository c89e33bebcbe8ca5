#include "hadal/optim/trainable.h"

#include <gtest/gtest.h>

#include <atomic>

namespace hadal {
namespace {

// Around 2^17 elements, where tensors are no more dealt out whole.
TEST(ForEachTrainable, VisitsEveryParameterOnceWhateverItsSize) {
  const std::vector<int64_t> sizes = {1, 0, 131071, 131072, 131073, 131136, 131137, 200000, 7};
  Arena arena;
  std::vector<Param> params(sizes.size());
  std::vector<Trainable> trainables;
  for (size_t i = 0; i < sizes.size(); ++i) {
    params[i].master = Tensor::empty(arena, DType::kF32, {sizes[i]});
    trainables.push_back({"p", &params[i], true});
  }
  for (const int n_threads : {1, 3}) {
    ThreadPool pool(n_threads);
    Context ctx{pool, arena};
    std::vector<std::atomic<int>> visits(sizes.size());
    for_each_trainable(ctx, trainables, [&](size_t i) { ++visits[i]; });
    for (size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(visits[i], 1) << sizes[i] << " elements";
  }
}

}  // namespace
}  // namespace hadal
