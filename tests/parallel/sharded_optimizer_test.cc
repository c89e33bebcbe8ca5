// Gradients summed over holders, the norm, AdamW on shards and what is gathered: of any layout the bits of
// one rank that has the summed gradients.
#include "hadal/parallel/sharded_optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <set>

#include "hadal/ops/elementwise.h"
#include "tests/support/compare.h"
#include "tests/support/rank_world.h"

namespace hadal::test {
namespace {

constexpr int kSteps = 2;
constexpr double kRate = 1e-2, kClip = 1.0;

const std::vector<RankLayout> kLayouts = {
    {"OneRank", ScheduleKind::k1F1B, 1, 1, 1},
    {"TwoReplicas", ScheduleKind::k1F1B, 1, 2, 1},
    {"ThreeReplicas", ScheduleKind::k1F1B, 1, 3, 1},
    {"FourReplicasTwoGroupsOfExperts", ScheduleKind::k1F1B, 1, 4, 2},
    {"FourExpertRanks", ScheduleKind::k1F1B, 1, 4, 4},
    {"TwoPlacesTied", ScheduleKind::k1F1B, 2, 1, 1, true},
    {"TwoPlacesTwoReplicas", ScheduleKind::kZb1p, 2, 2, 2},
    {"DualPipe", ScheduleKind::kDualPipe, 2, 2, 2},
    {"DualPipeOfFour", ScheduleKind::kDualPipe, 4, 2, 1, true},
    {"DualPipeV", ScheduleKind::kDualPipeV, 4, 2, 2},
    {"Interleaved", ScheduleKind::kInterleaved, 4, 2, 1},
    {"Zbv", ScheduleKind::kZbv, 4, 1, 1},
};

const std::vector<RankLayout> kReplicas = {{"One", ScheduleKind::k1F1B, 1, 1, 1},
                                           {"Two", ScheduleKind::k1F1B, 1, 2, 1},
                                           {"Three", ScheduleKind::k1F1B, 1, 3, 1},
                                           {"Four", ScheduleKind::k1F1B, 1, 4, 1}};

// What a rank makes of a parameter's gradient in a step.
std::vector<float> gradient_of(int rank, int64_t position, int step, int64_t n) {
  return random_values<float>(n, static_cast<uint64_t>(1 + rank + 100 * step + 1000 * position),
                              0.01);
}

void set_gradients(HeldModel& held, int rank, int step) {
  for (const NamedParam& each : held.params()) {
    if (each.kind == ParamKind::kRouteBias) continue;
    const auto values = gradient_of(rank, each.position, step, each.param->grad.size());
    each.param->grad.read_from(values.data());
  }
}

// One rank with the whole model, and the sums of what the layout's ranks make.
struct OneRank {
  OneRank(const RankWorld& many, Precision precision)
      : world(many),
        alone({"", ScheduleKind::k1F1B, 1, 1, 1, many.shape.tie_word_embeddings}),
        held(alone, 0, arena, precision),
        adamw(arena, trainables(held.params()), {}),
        average(arena, adamw.params(), adamw.shards()) {}

  void set_sums(int step) {
    for (const NamedParam& each : held.params()) {
      if (each.kind == ParamKind::kRouteBias) continue;
      std::vector<float> sum;
      for (const int rank : world.holders.of(each.position)) {
        const auto part = gradient_of(rank, each.position, step, each.param->grad.size());
        for (size_t i = 0; i < part.size(); ++i) {
          if (sum.size() < part.size()) {
            sum = part;
            break;
          }
          sum[i] += part[i];
        }
      }
      each.param->grad.read_from(sum.data());
    }
  }
  GradientNorm step(int n) {
    set_sums(n);
    GradientNorm norm = gradient_norm(held.ctx, adamw.params());
    average.wait();
    adamw.step(held.ctx, kRate, clip_factor(norm.norm, kClip));
    remake_working_weights(held.ctx, held.model);
    average.begin_update(held.ctx, 0.75F);
    return norm;
  }

  const RankWorld& world;
  RankWorld alone;
  Arena arena;
  HeldModel held;
  AdamW adamw;
  WeightAverage average;
};

void expect_bytes_of(HeldModel& got, HeldModel& want, const std::string& when) {
  const std::vector<NamedParam> all = want.params();
  for (const NamedParam& each : got.params()) {
    const NamedParam& same = all.at(static_cast<size_t>(each.position));
    ASSERT_EQ(each.name, same.name);
    EXPECT_TRUE(working_bytes_of(*each.param) == working_bytes_of(*same.param))
        << when << ": " << each.name;
  }
}

class ShardedOptimizerTest : public ::testing::TestWithParam<std::tuple<RankLayout, Precision>> {};

TEST_P(ShardedOptimizerTest, MakesTheBitsOfOneRank) {
  const auto& [layout, precision] = GetParam();
  const RankWorld world(layout);
  OneRank one(world, precision);
  std::vector<GradientNorm> norms;
  for (int step = 0; step < kSteps; ++step) norms.push_back(one.step(step));
  ASSERT_GT(norms[0].norm, 2.0 * kClip) << "the clip has to act";
  std::mutex mutex;  // EXPECT_ is for one thread at a time
  run_ranks(world, precision, [&](Communicator& comm, HeldModel& held) {
    ShardedOptimizer optimizer(held.ctx, comm, world.holders, held.model, {}, true);
    for (int step = 0; step < kSteps; ++step) {
      set_gradients(held, comm.rank(), step);
      // Sums may begin layer by layer, on each rank in an order of its own.
      const int64_t n_layers = step > 0 ? held.model.config.n_layers : 0;
      for (int64_t i = 0; i < n_layers; ++i) {
        optimizer.layer_done(held.ctx, (i + comm.rank()) % n_layers);
      }
      const GradientNorm norm = optimizer.sum_gradients(held.ctx);
      optimizer.step(held.ctx, kRate, clip_factor(norm.norm, kClip));
      optimizer.begin_average(held.ctx, 0.75F);
      const std::lock_guard lock(mutex);
      EXPECT_EQ(norm.norm, norms[static_cast<size_t>(step)].norm);
      EXPECT_EQ(norm.squares, norms[static_cast<size_t>(step)].squares);
      for (const NamedParam& each : held.params()) {
        if (each.kind == ParamKind::kRouteBias) continue;
        EXPECT_EQ(largest_magnitude(held.ctx, each.param->grad.flat<float>()), 0.0F) << each.name;
      }
    }
    {
      const std::lock_guard lock(mutex);
      expect_bytes_of(held, one.held, concat("rank ", comm.rank()));
    }
    optimizer.show_average(held.ctx);
    {
      const std::lock_guard lock(mutex);
      one.average.exchange();
      remake_working_weights(one.held.ctx, one.held.model);
      expect_bytes_of(held, one.held, concat("average, rank ", comm.rank()));
      one.average.exchange();
      remake_working_weights(one.held.ctx, one.held.model);
    }
    optimizer.show_weights(held.ctx);
    const std::lock_guard lock(mutex);
    expect_bytes_of(held, one.held, concat("weights again, rank ", comm.rank()));
  });
}

// Of the state that is shared out, a rank has its share and at most one unit more, and all ranks together
// have it once. Own masters: only of weights that products read in another form.
class ShardedStateTest : public ::testing::TestWithParam<std::tuple<RankLayout, Precision>> {};

TEST_P(ShardedStateTest, IsOneShareOfTheWhole) {
  const auto& [layout, precision] = GetParam();
  const RankWorld world(layout);
  std::mutex mutex;
  int64_t whole = 0, largest_unit = 0, matrices = 0, n_units = 0;
  std::vector<int64_t> added;
  run_ranks(world, precision, [&](Communicator& comm, HeldModel& held) {
    int64_t elements = 0, linear = 0, unit = 0, units = 0;
    for (const NamedParam& each : held.params()) {
      if (each.kind == ParamKind::kRouteBias) continue;
      elements += each.param->grad.size();
      const Tensor::Shape& shape = each.shape;
      units += ceil_div(shape[0], unit_rows(shape));
      unit =
          std::max(unit, std::min(shape[0], unit_rows(shape)) * (shape.size() == 2 ? shape[1] : 1));
    }
    remake_working_weights(held.ctx, held.model);
    for (const WorkingWeight& each : working_weights(held.model)) {
      if (each.form != WorkingForm::kMaster) linear += each.weight->master.size();
    }
    const int64_t before = held.arena.bytes_in_use();
    ShardedOptimizer optimizer(held.ctx, comm, world.holders, held.model, {}, false);
    const std::lock_guard lock(mutex);
    added.push_back(held.arena.bytes_in_use() - before);
    n_units = units;
    whole = elements;
    largest_unit = unit;
    matrices = linear;
  });
  const int64_t n = std::ssize(added);
  const int64_t rounding = 3 * 256 * n_units;  // of the arena's blocks
  // Two moments everywhere; of a linear's weight 4 bytes more come and its whole master goes.
  const int64_t goes = n > 1 ? 4 * matrices : 0, comes = 8 * whole + (n > 1 ? 4 * matrices : 0);
  int64_t all = 0;
  for (const int64_t bytes : added) {
    EXPECT_LE(bytes + goes, comes / n + 12 * largest_unit + rounding);
    EXPECT_GE(bytes + goes, comes / n - 12 * largest_unit - rounding);
    all += bytes + goes;
  }
  EXPECT_GE(all, comes - rounding);
  EXPECT_LE(all, comes + rounding);
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<RankLayout, Precision>>& one) {
  const std::map<Precision, const char*> names = {{Precision::kF32, "F32"},
                                                  {Precision::kBf16, "Bf16"},
                                                  {Precision::kFp8, "Fp8"},
                                                  {Precision::kFp8F32Scales, "Fp8F32Scales"}};
  return concat(std::get<0>(one.param).name, names.at(std::get<1>(one.param)));
}

const auto kPrecisions =
    ::testing::Values(Precision::kF32, Precision::kBf16, Precision::kFp8, Precision::kFp8F32Scales);

INSTANTIATE_TEST_SUITE_P(All, ShardedOptimizerTest,
                         ::testing::Combine(::testing::ValuesIn(kLayouts), kPrecisions), case_name);
INSTANTIATE_TEST_SUITE_P(All, ShardedStateTest,
                         ::testing::Combine(::testing::ValuesIn(kReplicas), kPrecisions),
                         case_name);

// As after a checkpoint was read: each rank has changed its own units alone.
TEST(ShardedOptimizer, SharesWhatItsOwnersHaveRead) {
  const RankWorld world({"", ScheduleKind::kDualPipe, 2, 2, 2});
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8}) {
    Arena arena;
    HeldModel want(RankWorld({"", ScheduleKind::k1F1B, 1, 1, 1}), 0, arena, precision);
    for (const Trainable& each : trainables(want.params())) {
      fill(want.ctx, each.param->master.flat<float>(), 0.3F);
    }
    remake_working_weights(want.ctx, want.model);
    std::mutex mutex;
    run_ranks(world, precision, [&](Communicator& comm, HeldModel& held) {
      ShardedOptimizer optimizer(held.ctx, comm, world.holders, held.model, {}, false);
      AdamW& adamw = optimizer.adamw();
      for (Shard& shard : adamw.shards()) {
        fill(held.ctx, shard.values(adamw.params()[shard.param]), 0.3F);
      }
      optimizer.share_weights(held.ctx);
      const std::lock_guard lock(mutex);
      expect_bytes_of(held, want, concat("rank ", comm.rank()));
    });
  }
}

TEST(ShardedOptimizer, NamesTheRankThatMadeAGradientThatIsNotFinite) {
  const RankWorld world({"", ScheduleKind::kDualPipe, 2, 2, 2});
  const std::string name = "model.layers.1.mlp.gate.weight";
  for (const int culprit : {0, 1, 3}) {
    std::mutex mutex;
    std::set<std::string> said;
    run_ranks(world, Precision::kF32, [&](Communicator& comm, HeldModel& held) {
      ShardedOptimizer optimizer(held.ctx, comm, world.holders, held.model, {}, false);
      set_gradients(held, comm.rank(), 0);
      for (const NamedParam& each : held.params()) {
        if (each.name == name && comm.rank() == culprit) {
          each.param->grad.flat<float>()[5] = NAN;
        }
      }
      const GradientNorm norm = optimizer.sum_gradients(held.ctx);
      const auto report = optimizer.find_not_finite(held.ctx, norm, 7);
      optimizer.drop_gradients(held.ctx);
      set_gradients(held, comm.rank(), 1);
      const GradientNorm next = optimizer.sum_gradients(held.ctx);
      const std::lock_guard lock(mutex);
      said.insert(report.value_or("nothing"));
      EXPECT_EQ(first_not_finite(next), -1);
      EXPECT_EQ(optimizer.find_not_finite(held.ctx, next, 8), std::nullopt);
      EXPECT_EQ(optimizer.trained().at(static_cast<size_t>(first_not_finite(norm))).name, name);
    });
    EXPECT_EQ(said, std::set<std::string>({concat("rank ", culprit,
                                                  ": a gradient of step 7 is not finite (found 1 "
                                                  "of 512 elements of ",
                                                  name, ")")}));
  }
}

}  // namespace
}  // namespace hadal::test
