// What the tests of expert parallelism share: a layer on one rank with all tokens, and the same layer on
// ranks that have a part of its experts and of the tokens each.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "hadal/comm/thread_ranks.h"
#include "hadal/model/precision.h"
#include "hadal/ops/copy.h"
#include "hadal/parallel/expert_dispatcher.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"

namespace hadal::test {

enum class Part { kMoe, kLayer };  // the experts' network alone, or attention and norms around it

struct ExpertCase {
  std::vector<int64_t> tokens;  // of each rank, one sequence each
  ModelConfig config = odd_config();
  LinearPrecision precision = Precision::kF32;
  ExpertExchange how = {};
  Part part = Part::kMoe;
  std::vector<float> route_bias = {};  // [experts], instead of the model's
  uint64_t seed = 1;
  int n_threads = 1;

  int n_ranks() const { return static_cast<int>(tokens.size()); }
  int64_t n_tokens(size_t first, size_t last) const {
    return std::accumulate(tokens.begin() + static_cast<std::ptrdiff_t>(first),
                           tokens.begin() + static_cast<std::ptrdiff_t>(last), int64_t{0});
  }
};

// One micro-batch on its way through a layer, phase by phase.
struct ExpertWalk {
  static constexpr int kForward = 4, kPhases = 9;  // B's are 4 to 7, W is 8

  // The tokens of ranks [first, last).
  ExpertWalk(const ExpertCase& of, RandomModel& model, DecoderLayer& in, size_t first, size_t last,
             uint64_t seed)
      : ctx(model.ctx), layer(in), part(of.part) {
    Sequences sequences;
    for (size_t rank = first; rank < last; ++rank) {
      if (of.tokens[rank] > 0) {
        sequences.offsets.push_back(sequences.offsets.back() + of.tokens[rank]);
      }
    }
    pass = Pass::over(std::move(sequences), model.model.rope);
    attention.emplace(pass);
    const int64_t begin = of.n_tokens(0, first), end = of.n_tokens(0, last);
    const int64_t all = of.n_tokens(0, of.tokens.size()), d_model = of.config.d_model;
    const auto part_of = [&](const Tensor& rows) {
      Tensor mine = ctx.empty({end - begin, d_model});
      copy_rows(ctx, mine.mat(), rows.mat().rows(begin, end));
      return mine;
    };
    x = part_of(model.random_rows(all, d_model, seed));
    dy = part_of(model.random_rows(all, d_model, seed + 1));
  }

  void run(TokenDispatcher& dispatcher) {
    for (int n = 0; n < kPhases; ++n) phase(n, dispatcher);
  }
  void phase(int n, TokenDispatcher& dispatcher) {
    if (part == Part::kLayer) {
      layer_phase(n, dispatcher);
    } else {
      moe_phase(n, dispatcher);
    }
    if (n == 3) n_rows = moe_saved().dispatch.rows.n_rows();
  }
  Moe::Saved& moe_saved() { return std::get<Moe::Saved>(saved.ffn); }

  Context& ctx;
  DecoderLayer& layer;
  Part part;
  Pass pass;
  std::optional<TrainingAttention> attention;
  DecoderLayer::Saved saved;
  Tensor x, y, dy, dx;
  int64_t n_rows = 0;  // of the experts here

 private:
  void layer_phase(int n, TokenDispatcher& dispatcher) {
    if (n == 0) layer.attention(ctx, *attention, x.share(), saved);
    if (n == 1) layer.dispatch(ctx, dispatcher, pass, saved);
    if (n == 2) layer.experts(ctx, dispatcher, pass, saved);
    if (n == 3) y = layer.combine(ctx, dispatcher, saved).hidden;
    if (n == 4) layer.combine_backward(ctx, dispatcher, dy.share(), saved);
    if (n == 5) layer.experts_backward(ctx, dispatcher, pass, saved);
    if (n == 6) layer.dispatch_backward(ctx, dispatcher, saved);
    if (n == 7) dx = layer.attention_backward(ctx, pass, saved);
    if (n == 8) layer.backward_weight(ctx, std::move(saved));
  }
  void moe_phase(int n, TokenDispatcher& dispatcher) {
    Moe& moe = *layer.moe();
    if (n == 0) saved.ffn.emplace<Moe::Saved>();
    if (n == 1) moe.dispatch(ctx, dispatcher, x, 1, pass, moe_saved());
    if (n == 2) moe.experts(ctx, dispatcher, x, pass, moe_saved());
    if (n == 3) y = moe.combine(ctx, dispatcher, moe_saved());
    if (n == 4) moe.combine_backward(ctx, dispatcher, dy.share(), moe_saved());
    if (n == 5) moe.experts_backward(ctx, dispatcher, x, moe_saved());
    if (n == 6) dx = moe.dispatch_backward(ctx, dispatcher, moe_saved());
    if (n == 8) moe.backward_weight(ctx, std::move(moe_saved()));
  }
};

// A model of its own, the same everywhere, whose layer 1 has the experts of a range alone.
struct ExpertRank : RandomModel {
  ExpertRank(const ExpertCase& of, ExpertRange range)
      : RandomModel(of.config, of.seed, of.n_threads), layer(model.layers[1]) {
    if (!of.route_bias.empty()) {
      std::ranges::copy(of.route_bias, moe().route_bias.master.flat<float>().begin());
    }
    set_precision(model, of.precision);
    remake_working_weights(ctx, model);
    allocate_gradients(model, arena);
    for (NamedParam& named : named_params(model)) {
      const bool everywhere = named.name.starts_with("model.layers.1.") &&
                              named.name.find(".experts.") == std::string::npos &&
                              named.kind != ParamKind::kRouteBias;
      if (everywhere) common.push_back(std::move(named));
    }
    for (GroupedLinear* each : experts()) {
      std::vector<Param> kept(std::make_move_iterator(each->weights.begin() + range.first),
                              std::make_move_iterator(each->weights.begin() + range.last));
      each->weights = std::move(kept);
    }
    moe().range = range;
    bytes_before = arena.bytes_in_use();
  }
  Moe& moe() { return *layer.moe(); }
  std::array<GroupedLinear*, 3> experts() { return {&moe().w_gate, &moe().w_up, &moe().w_down}; }

  DecoderLayer& layer;
  std::vector<NamedParam> common;  // parameters that every rank has
  std::optional<ExpertWalk> walk;  // the micro-batch it ran
  ExpertTraffic traffic;
  int64_t bytes_before;  // in use before it ran
};

inline std::unique_ptr<ExpertRank> run_one_rank(const ExpertCase& of) {
  auto one = std::make_unique<ExpertRank>(of, ExpertRange{0, of.config.router.n_routed_experts});
  LocalDispatcher local;
  one->walk.emplace(of, *one, one->layer, 0, of.tokens.size(), of.seed + 10).run(local);
  return one;
}

using ExpertRanks = std::vector<std::unique_ptr<ExpertRank>>;

inline ExpertRanks make_ranks(const ExpertCase& of) {
  ExpertRanks ranks;
  for (int rank = 0; rank < of.n_ranks(); ++rank) {
    ranks.push_back(std::make_unique<ExpertRank>(
        of, experts_of_rank(of.config.router.n_routed_experts, of.n_ranks(), rank)));
  }
  return ranks;
}

// F, B and W of the rank's own tokens.
inline void run_rank(const ExpertCase& of, ExpertRank& rank, Communicator& comm) {
  const auto me = static_cast<size_t>(comm.rank());
  ExpertDispatcher dispatcher(comm, of.how);
  ExpertWalk& walk = rank.walk.emplace(of, rank, rank.layer, me, me + 1, of.seed + 10);
  for (int n = 0; n < ExpertWalk::kPhases; ++n) {
    if (n + 1 == ExpertWalk::kPhases) {
      rank.traffic = ExpertDispatcher::traffic(walk.moe_saved().dispatch);
    }
    walk.phase(n, dispatcher);
  }
}

inline ExpertRanks run_ranks(const ExpertCase& of) {
  ExpertRanks ranks = make_ranks(of);
  run_thread_ranks({.n_ranks = of.n_ranks(), .patience_seconds = 60}, [&](Communicator& comm) {
    run_rank(of, *ranks[static_cast<size_t>(comm.rank())], comm);
  });
  return ranks;
}

// Rows of all ranks, one after another.
template <class Rows>
std::vector<float> joined(const ExpertRanks& ranks, Rows rows) {
  std::vector<float> all;
  for (const auto& rank : ranks) {
    const std::vector<float> mine = elements(std::as_const(rows(*rank)).mat());
    all.insert(all.end(), mine.begin(), mine.end());
  }
  return all;
}
inline std::vector<float> outputs(const ExpertRanks& ranks) {
  return joined(ranks, [](ExpertRank& rank) -> Tensor& { return rank.walk->y; });
}
inline std::vector<float> input_gradients(const ExpertRanks& ranks) {
  return joined(ranks, [](ExpertRank& rank) -> Tensor& { return rank.walk->dx; });
}

// The experts' gradients, of every expert once.
inline void expect_gradients_of_experts(const ExpertRanks& ranks, ExpertRank& one,
                                        const Tolerance& tolerance, const std::string& what) {
  for (const auto& rank : ranks) {
    for (size_t i = 0; i < 3; ++i) {
      const ExpertRange range = rank->moe().range;
      for (int64_t e = range.first; e < range.last; ++e) {
        const Param& got = rank->experts()[i]->weights[static_cast<size_t>(e - range.first)];
        const Param& want =
            one.experts()[i]->weights[static_cast<size_t>(e - one.moe().range.first)];
        expect_close(got.grad, want.grad, tolerance,
                     concat(what, ": weight ", i, " of expert ", e));
      }
    }
  }
}

// What every rank has: its gradients, added over ranks, are one rank's to rounding.
inline void expect_sum_of_common(const ExpertRanks& ranks, ExpertRank& one,
                                 const Tolerance& tolerance, const std::string& what) {
  for (size_t i = 0; i < one.common.size(); ++i) {
    const Tensor& want = one.common[i].param->grad;
    std::vector<float> sum(static_cast<size_t>(want.size()), 0.0F);
    for (const auto& rank : ranks) {
      const auto part = std::as_const(rank->common[i].param->grad).flat<float>();
      for (size_t j = 0; j < sum.size(); ++j) sum[j] += part[j];
    }
    expect_close(std::span<const float>(sum), want.flat<float>(),
                 tolerance.in_rows_of(want.dim(want.rank() - 1)), what + ": " + one.common[i].name);
  }
}

// y, dx and the experts' gradients have the bits of one rank; the rest sums to its gradients.
inline void expect_as_one_rank(const ExpertCase& of, const std::string& what) {
  const ExpertRanks ranks = run_ranks(of);
  const auto one = run_one_rank(of);
  EXPECT_EQ(outputs(ranks), elements(std::as_const(one->walk->y).mat())) << what;
  EXPECT_EQ(input_gradients(ranks), elements(std::as_const(one->walk->dx).mat())) << what;
  expect_gradients_of_experts(ranks, *one, Tolerance::exact(), what);
  Tolerance rounding = Tolerance::for_sum(of.n_tokens(0, of.tokens.size()));
  rounding.inherited = 8 * std::numeric_limits<float>::epsilon();
  expect_sum_of_common(ranks, *one, rounding, what);
  int64_t n_rows = 0;
  for (const auto& rank : ranks) n_rows += rank->walk->n_rows;
  EXPECT_EQ(n_rows, one->walk->n_rows) << what << ": no token is dropped";
  for (const auto& rank : ranks) rank->walk.reset();
  for (const auto& rank : ranks) {  // messages are given back to where they were made
    EXPECT_EQ(rank->arena.bytes_in_use(), rank->bytes_before) << what;
  }
}

// The same bytes on both.
inline void expect_same_bytes(const ExpertRanks& got, const ExpertRanks& want,
                              const std::string& what) {
  EXPECT_EQ(outputs(got), outputs(want)) << what;
  EXPECT_EQ(input_gradients(got), input_gradients(want)) << what;
  for (size_t rank = 0; rank < want.size(); ++rank) {
    for (size_t i = 0; i < 3; ++i) {
      const auto& other = want[rank]->experts()[i]->weights;
      for (size_t e = 0; e < other.size(); ++e) {
        expect_close(got[rank]->experts()[i]->weights[e].grad, other[e].grad, Tolerance::exact(),
                     concat(what, ": weight ", i, " of the ", e, "-th expert of rank ", rank));
      }
    }
    for (size_t i = 0; i < want[rank]->common.size(); ++i) {
      expect_close(got[rank]->common[i].param->grad, want[rank]->common[i].param->grad,
                   Tolerance::exact(), concat(what, ": ", want[rank]->common[i].name));
    }
  }
}

}  // namespace hadal::test
