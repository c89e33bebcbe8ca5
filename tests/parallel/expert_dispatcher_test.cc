// Experts spread over ranks give what one rank with all tokens gives.
#include "hadal/parallel/expert_dispatcher.h"

#include <chrono>
#include <thread>

#include "hadal/core/clock.h"
#include "hadal/core/rng.h"
#include "hadal/parallel/node_map.h"
#include "tests/parallel/expert_ranks.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

using Tokens = std::vector<int64_t>;

TEST(ExpertDispatcher, ARankHasItsPartOfTheExperts) {
  EXPECT_EQ(experts_of_rank(256, 64, 3).first, 12);
  EXPECT_EQ(experts_of_rank(256, 64, 3).last, 16);
  EXPECT_EQ(error_of([] { experts_of_rank(8, 3, 0); }),
            "parallel.expert: the ranks of an expert group must share the experts out evenly "
            "(found 3 ranks "
            "for n_routed_experts = 8, expected a divisor)");
}

TEST(ExpertDispatcher, FormsHaveTheNamesOfSettings) {
  EXPECT_EQ(combine_form("bf16"), CombineForm::kBf16);
  EXPECT_EQ(
      error_of([] { dispatch_form("fp16"); }),
      "parallel.dispatch: unknown form (found fp16, expected one of compute, f32, bf16, fp8)");
}

TEST(ExpertDispatcher, TheExpertsNetworkAsOnOneRank) {
  expect_as_one_rank({.tokens = {7, 9}}, "two ranks");
  expect_as_one_rank({.tokens = {5, 3, 8, 6}}, "four ranks");
  expect_as_one_rank({.tokens = {5, 3, 8, 6, 1, 4, 2, 7}, .n_threads = 2}, "eight ranks");
}

TEST(ExpertDispatcher, ALayerAsOnOneRank) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8}) {
    expect_as_one_rank({.tokens = {7, 9}, .precision = precision, .part = Part::kLayer}, "two");
    expect_as_one_rank({.tokens = {5, 3, 8, 6}, .precision = precision, .part = Part::kLayer},
                       "four");
  }
}

// Codes carry what the layer multiplies: nothing is lost on the way.
TEST(ExpertDispatcher, WhatIsMultipliedInFp8TravelsInFp8) {
  ExpertCase codes{.tokens = {6, 7, 5, 8}, .precision = Precision::kFp8};
  for (const char* form : {"compute", "f32", "bf16", "fp8"}) {
    codes.how.dispatch = dispatch_form(form);
    expect_as_one_rank(codes, form);
  }
  // F32 experts in the same form: other numbers, and a third of the bytes.
  ExpertCase plain = codes;
  plain.precision = Precision::kF32;
  const ExpertRanks rounded = run_ranks(plain);
  plain.how.dispatch = DispatchForm::kF32;
  const ExpertRanks exact = run_ranks(plain);
  EXPECT_NE(outputs(rounded), outputs(exact));
  expect_close(outputs(rounded), outputs(exact),
               {.element = 0.2, .frobenius = 1.0 / 16, .cosine = 1e-2, .row_length = 40}, "y");
}

// Weight gradients may round their operands by columns, from the rows as they were: those travel.
TEST(ExpertDispatcher, TokensThatAreRoundedTwiceTravelAsTheyAre) {
  expect_as_one_rank(
      {.tokens = {6, 7}, .precision = {Precision::kFp8, WeightGradientTiles::kColumns}}, "columns");
}

TEST(ExpertDispatcher, RanksWithoutTokens) {
  expect_as_one_rank({.tokens = {0, 9}}, "none on the first");
  expect_as_one_rank({.tokens = {4, 0, 0, 5}, .precision = Precision::kFp8}, "none between");
  ExpertCase sums{.tokens = {4, 0, 0, 5}};
  sums.how.combine = CombineForm::kBf16;
  EXPECT_EQ(outputs(run_ranks(sums)).size(), 9U * 40U);
}

// Every token chooses expert 5 and nothing else: all other experts have no rows, and three ranks neither.
TEST(ExpertDispatcher, AllTokensToOneExpert) {
  ExpertCase one{.tokens = {4, 6, 3, 5}};
  one.config.router.top_k = one.config.router.n_group = one.config.router.topk_group = 1;
  one.route_bias = {0, 0, 0, 0, 0, 50, 0, 0};
  expect_as_one_rank(one, "one expert");
  const ExpertRanks ranks = run_ranks(one);
  for (size_t rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(ranks[rank]->walk->n_rows, rank == 2 ? 18 : 0) << rank;
  }
}

// A rank's sum is rounded once, to the 8 bits of BF16: by 2^-8 of every rank's share at most.
TEST(ExpertDispatcher, SumsInBf16AreOffByTheirRounding) {
  ExpertCase of{.tokens = {7, 9, 4, 6}};
  of.how.combine = CombineForm::kBf16;
  const ExpertRanks got = run_ranks(of);
  const auto want = run_one_rank(of);
  const std::vector<float> y = outputs(got), exact = elements(std::as_const(want->walk->y).mat());
  std::vector<double> bound(y.size(), 0.0);
  for (int place = 0; place < 4; ++place) {  // its experts alone, over all tokens
    ExpertRank share(of, experts_of_rank(8, 4, place));
    share.moe().shared.reset();
    LocalDispatcher local;
    share.walk.emplace(of, share, share.layer, 0, 4, of.seed + 10);
    for (int n = 0; n < ExpertWalk::kForward; ++n) share.walk->phase(n, local);
    const auto rows = elements(std::as_const(share.walk->y).mat());
    for (size_t i = 0; i < y.size(); ++i) bound[i] += std::abs(double{rows[i]}) / 256;
  }
  double worst = 0.0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double off = std::abs(double{y[i]} - double{exact[i]});
    EXPECT_LE(off, bound[i] + 1e-6 * std::abs(exact[i])) << i;
    worst = std::max(worst, off);
  }
  EXPECT_GT(worst, 1e-4);
  // The way back rounds dx alike; the choices' gradients and the experts' are exact.
  expect_gradients_of_experts(got, *want, Tolerance::exact(), "bf16");
  expect_close(input_gradients(got), elements(std::as_const(want->walk->dx).mat()),
               {.element = 1.0 / 64, .frobenius = 1.0 / 128, .cosine = 1e-4, .row_length = 40},
               "dx");
}

ExpertExchange on_nodes(std::vector<int> node_of, bool hierarchical) {
  ExpertExchange how;
  how.node_of = std::move(node_of);
  how.hierarchical = hierarchical;
  return how;
}

TEST(NodeMap, NumbersHostsInOrderOfTheirFirstRanks) {
  Arena arena;
  const std::vector<std::string> hosts = {"far", "near", "far", "", "near"};
  run_thread_ranks({.n_ranks = 5}, [&](Communicator& comm) {
    const std::string& host = hosts[static_cast<size_t>(comm.rank())];
    EXPECT_EQ(nodes_by_name(comm, host, arena), (std::vector{0, 1, 0, 2, 1}));
  });
}

// One copy for a node, handed on inside: the same bytes arrive, and fewer cross.
TEST(ExpertDispatcher, ByWayOfNodesTheSameBytesWithLessAcross) {
  for (const auto& node_of :
       {std::vector{0, 0, 0, 0, 1, 1, 1, 1}, {0, 0, 1, 1, 2, 2, 3, 3}, {0, 1, 1, 0, 1, 0, 0, 1}}) {
    ExpertCase of{.tokens = {5, 3, 8, 6, 0, 4, 2, 7}, .part = Part::kMoe};
    of.config.router.n_group = of.config.router.topk_group = 1;
    of.how = on_nodes(node_of, true);
    expect_as_one_rank(of, "by way of nodes");
    const ExpertRanks by_nodes = run_ranks(of);
    of.how.hierarchical = false;
    const ExpertRanks flat = run_ranks(of);
    expect_same_bytes(by_nodes, flat, "flat");
    int64_t across = 0, across_flat = 0;
    for (size_t rank = 0; rank < flat.size(); ++rank) {
      EXPECT_EQ(by_nodes[rank]->traffic.tokens_to_node, flat[rank]->traffic.tokens_to_node);
      across += by_nodes[rank]->traffic.bytes_across;
      across_flat += flat[rank]->traffic.bytes_across;
    }
    EXPECT_LT(across, across_flat);
    EXPECT_GT(across, 0);
  }
}

// Bytes of a token of width 40: F32, or codes and the BF16 scale of one tile; in F beside it 3 choices, 3
// gates and a rank. Back come rows in F32, in B with a number each.
TEST(ExpertDispatcher, CountsWhatTravels) {
  for (const Precision precision : {Precision::kF32, Precision::kFp8}) {
    ExpertCase of{.tokens = {6, 5}, .precision = precision};
    of.how = on_nodes({0, 1}, false);
    const ExpertRanks ranks = run_ranks(of);
    const int64_t token = precision == Precision::kFp8 ? 40 + 2 : 160;
    for (size_t me = 0; me < 2; ++me) {
      const ExpertTraffic& mine = ranks[me]->traffic;
      const ExpertTraffic& other = ranks[1 - me]->traffic;
      EXPECT_EQ(mine.bytes_in_node, 0);
      const int64_t dispatched = mine.tokens_to_node[1 - me] * (2 * token + 3 * 4 + 3 * 4 + 4);
      // One group of four experts a token, so all three rows of one that came.
      const int64_t combined = 3 * other.tokens_to_node[me] * (2 * 160 + 4);
      EXPECT_EQ(mine.bytes_across, dispatched + combined);
      EXPECT_EQ(mine.most_nodes, 1);
    }
  }
}

// Groups of experts that lie on nodes: a token reaches as many nodes as groups at most.
TEST(ExpertDispatcher, NodeLimitedRoutingReachesAsManyNodesAsGroups) {
  ExpertCase of{.tokens = {9, 9, 9, 9, 9, 9, 9, 9}};
  of.config.router.n_group = 4;
  of.config.router.topk_group = 2;
  of.how = on_nodes({0, 0, 1, 1, 2, 2, 3, 3}, true);
  int64_t most = 0, most_unlimited = 0;
  for (const auto& rank : run_ranks(of)) most = std::max(most, rank->traffic.most_nodes);
  EXPECT_EQ(most, 2);
  of.config.router.n_group = of.config.router.topk_group = 1;
  for (const auto& rank : run_ranks(of)) {
    most_unlimited = std::max(most_unlimited, rank->traffic.most_nodes);
  }
  EXPECT_EQ(most_unlimited, 3);
}

TEST(ExpertDispatcher, RefusesNodesThatDoNotFit) {
  const auto refusal = [](ExpertExchange how) {
    return error_of([&] {
      run_thread_ranks({.n_ranks = 3}, [&](Communicator& comm) { ExpertDispatcher(comm, how); });
    });
  };
  EXPECT_EQ(refusal(on_nodes({0, 0, 1}, true)),
            "expert parallelism: tokens are handed on by the rank with the same index on another "
            "node (found "
            "1 and 2 ranks on two nodes, expected equally many on all); start as many ranks on "
            "every host, "
            "or exchange without nodes");
  EXPECT_EQ(refusal(on_nodes({0, 0}, false)),
            "expert parallelism: every rank of the expert group needs a node (found 2 nodes, "
            "expected 3)");
}

// F of one micro-batch between the phases of another: a dispatcher keeps nothing of either.
TEST(ExpertDispatcher, SeveralMicroBatchesAreUnderWayAtOnce) {
  for (const bool hierarchical : {false, true}) {
    ExpertCase of{.tokens = {5, 3, 8, 6}, .part = Part::kLayer};
    of.how = on_nodes({0, 0, 1, 1}, hierarchical);
    const auto run = [&](bool together) {
      ExpertRanks ranks = make_ranks(of);
      run_thread_ranks({.n_ranks = 4, .patience_seconds = 60}, [&](Communicator& comm) {
        const auto me = static_cast<size_t>(comm.rank());
        ExpertRank& rank = *ranks[me];
        ExpertDispatcher dispatcher(comm, of.how);
        ExpertWalk a(of, rank, rank.layer, me, me + 1, 20);
        ExpertWalk& b = rank.walk.emplace(of, rank, rank.layer, me, me + 1, 30);
        if (!together) {
          a.run(dispatcher);
          b.run(dispatcher);
          return;
        }
        for (int n = 0; n < ExpertWalk::kForward; ++n) a.phase(n, dispatcher);
        b.phase(0, dispatcher);
        b.phase(1, dispatcher);
        for (int n = ExpertWalk::kForward; n < ExpertWalk::kPhases; ++n) {
          a.phase(n, dispatcher);
          if (n < 6) b.phase(n - 2, dispatcher);
        }
        for (int n = ExpertWalk::kForward; n < ExpertWalk::kPhases; ++n) b.phase(n, dispatcher);
      });
      return ranks;
    };
    expect_same_bytes(run(true), run(false), "together");
  }
}

// A movement goes on while its rank computes something else: after a pause longer than the link's latency
// no phase waits. Each of the four movements would cost a whole latency.
TEST(ExpertDispatcher, NothingWaitsBetweenAStartAndItsFinish) {
  constexpr double kLatency = 0.15;
  const ExpertCase of{.tokens = {16, 16}};
  ExpertRanks ranks = make_ranks(of);
  run_thread_ranks({.n_ranks = 2, .patience_seconds = 60, .link = {.latency_seconds = kLatency}},
                   [&](Communicator& comm) {
                     const auto me = static_cast<size_t>(comm.rank());
                     ExpertRank& rank = *ranks[me];
                     ExpertDispatcher dispatcher(comm, of.how);
                     ExpertWalk walk(of, rank, rank.layer, me, me + 1, 11);
                     double in_phases = 0.0;
                     for (int n = 0; n < ExpertWalk::kPhases; ++n) {
                       const double start = monotonic_seconds();
                       walk.phase(n, dispatcher);
                       in_phases += monotonic_seconds() - start;
                       const bool under_way = n == 1 || n == 2 || n == 4 || n == 5;
                       if (under_way) std::this_thread::sleep_for(std::chrono::milliseconds(400));
                     }
                     EXPECT_LT(in_phases, kLatency);
                   });
}

// Whatever a seed draws.
TEST(ExpertDispatcher, RandomCases) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Rng rng(seed, 3);
    const int n_ranks = 2 << rng.uniform_below(3);
    ExpertCase of;
    of.seed = seed;
    for (int rank = 0; rank < n_ranks; ++rank) {
      of.tokens.push_back(static_cast<int64_t>(rng.uniform_below(12)));
    }
    of.tokens.front() += 1;
    const Precision precisions[] = {Precision::kF32, Precision::kBf16, Precision::kFp8};
    of.precision = precisions[rng.uniform_below(3)];
    if (rng.uniform_below(2) == 0) of.config.router.n_group = of.config.router.topk_group = 1;
    if (rng.uniform_below(2) == 0) {
      std::vector<int> node_of;
      for (int rank = 0; rank < n_ranks; ++rank) node_of.push_back(rank / (n_ranks / 2));
      of.how = on_nodes(node_of, true);
    }
    SCOPED_TRACE(concat("seed ", seed));
    expect_as_one_rank(of, "drawn");
    of.how.combine = CombineForm::kBf16;
    of.how.dispatch = DispatchForm::kFp8;
    expect_same_bytes(run_ranks(of), run_ranks(of), "twice");
  }
}

}  // namespace
}  // namespace hadal::test
