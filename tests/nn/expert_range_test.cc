// A layer whose experts live in two places: each place computes its own, and what they give, summed
// at the tokens' home in ascending expert id, has the bits of one place.
#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/layer_differences.h"

namespace hadal::test {
namespace {

constexpr int64_t kTokens = 17, kCut = 3;

// What the far place sends to the tokens' home.
struct Sent {
  Tensor rows;     // of its experts
  Tensor numbers;  // beside them
};

// Both places see all tokens. The far one holds the first experts; home, the second, sums over the
// rows of both. Rows are in the order of experts, so its own follow those of the far place.
class HalfDispatcher final : public TokenDispatcher {
 public:
  HalfDispatcher(Sent& sent, int64_t n_experts, bool home)
      : sent_(sent), n_experts_(n_experts), home_(home) {}

  Dispatch plan(Context& ctx, View<const int32_t, 2> indices, const Tensor& gates,
                const HeldExperts& experts) override {
    all_ = local_.plan(ctx, indices, gates, {.range = {0, n_experts_}});
    return local_.plan(ctx, indices, gates, experts);
  }
  void start_dispatch(Context& ctx, KeptRows tokens, Dispatch& dispatch) override {
    local_.start_dispatch(ctx, std::move(tokens), dispatch);
  }
  KeptRows finish_dispatch(Context& ctx, Dispatch& dispatch) override {
    return local_.finish_dispatch(ctx, dispatch);
  }
  void start_combine(Context& ctx, Tensor rows, Tensor numbers, Weights weights,
                     Dispatch& dispatch) override {
    all_.weights = weights;
    if (home_) {
      local_.start_combine(ctx, std::move(rows), std::move(numbers), weights, dispatch);
    } else {
      sent_ = {std::move(rows), std::move(numbers)};
    }
  }
  Tensor finish_combine(Context& ctx, View<float, 2> y, Dispatch& dispatch) override {
    const int64_t n_rows = all_.rows.n_rows();
    if (!home_) return ctx.zeros({all_.rows.n_tokens, all_.rows.top_k});
    all_.outputs = ctx.empty({n_rows, y.dim(1)});
    join(all_.outputs, sent_.rows, dispatch.outputs);
    if (dispatch.numbers.has_data()) {
      all_.numbers = ctx.empty({n_rows});
      join(all_.numbers, sent_.numbers, dispatch.numbers);
    }
    return local_.finish_combine(ctx, y, all_);
  }

 private:
  static void join(Tensor& both, const Tensor& first, const Tensor& second) {
    ASSERT_EQ(first.size() + second.size(), both.size());
    const auto rest = std::ranges::copy(first.flat<float>(), both.flat<float>().begin()).out;
    std::ranges::copy(second.flat<float>(), rest);
  }

  LocalDispatcher local_;
  Sent& sent_;
  const int64_t n_experts_;
  const bool home_;
  Dispatch all_;
};

Param shared_values(const Param& param, Arena& arena) {
  Param result;
  result.master = param.master.share();
  if (param.grad.has_data()) result.allocate_grad(arena);
  return result;
}

GroupedLinear part_of(const GroupedLinear& whole, ExpertRange range, Arena& arena) {
  GroupedLinear result;
  for (int64_t e = range.first; e < range.last; ++e) {
    result.weights.push_back(shared_values(whole.weights[static_cast<size_t>(e)], arena));
  }
  return result;
}

// The experts of `range`; the same values, gradients of its own, no shared expert.
Moe part_of(const Moe& whole, ExpertRange range, Arena& arena) {
  Moe result;
  result.config = whole.config;
  result.w_router = shared_values(whole.w_router, arena);
  result.route_bias = shared_values(whole.route_bias, arena);
  result.range = range;
  result.w_gate = part_of(whole.w_gate, range, arena);
  result.w_up = part_of(whole.w_up, range, arena);
  result.w_down = part_of(whole.w_down, range, arena);
  return result;
}

struct Place {
  Moe& moe;
  TokenDispatcher& dispatcher;
  Moe::Saved saved = {};
  Tensor y = {}, dx = {};
};

// All places phase by phase, in ascending order of their experts.
void run(RandomModel& random, std::vector<Place>& places, const Tensor& x, const Tensor& dy) {
  Context& ctx = random.ctx;
  const Pass pass = Pass::over(Sequences::equal(1, kTokens), random.model.rope,
                               {0.1F, 1.0F, BalanceCount::kUnbiasedTopK, true});
  for (Place& p : places) p.moe.dispatch(ctx, p.dispatcher, x, 1, pass, p.saved);
  for (Place& p : places) p.moe.experts(ctx, p.dispatcher, x, pass, p.saved);
  for (Place& p : places) p.y = p.moe.combine(ctx, p.dispatcher, p.saved);
  for (Place& p : places) p.moe.combine_backward(ctx, p.dispatcher, dy.share(), p.saved);
  for (Place& p : places) p.moe.experts_backward(ctx, p.dispatcher, x, p.saved);
  for (Place& p : places) p.dx = p.moe.dispatch_backward(ctx, p.dispatcher, p.saved);
  for (Place& p : places) p.moe.backward_weight(ctx, std::move(p.saved));
}

void expect_same_gradients(const GroupedLinear& part, const GroupedLinear& whole, int64_t first,
                           const std::string& what) {
  for (size_t e = 0; e < part.weights.size(); ++e) {
    const size_t id = e + static_cast<size_t>(first);
    expect_close(part.weights[e].grad, whole.weights[id].grad, Tolerance::exact(),
                 concat(what, " of expert ", id));
  }
}

TEST(ExpertRange, TwoPlacesGiveTheBitsOfOne) {
  RandomModel random(odd_config());
  allocate_gradients(random.model, random.arena);
  Moe& whole = *random.model.layers[1].moe();
  const int64_t n_experts = whole.config.n_routed_experts;
  const Tensor x = random.random_rows(kTokens, 40, 31), dy = random.random_rows(kTokens, 40, 32);

  Moe far = part_of(whole, {0, kCut}, random.arena);
  Moe home = part_of(whole, {kCut, n_experts}, random.arena);
  Ffn& shared = home.shared.emplace();
  shared.w_gate.weight = shared_values(whole.shared->w_gate.weight, random.arena);
  shared.w_up.weight = shared_values(whole.shared->w_up.weight, random.arena);
  shared.w_down.weight = shared_values(whole.shared->w_down.weight, random.arena);

  LocalDispatcher local;
  std::vector<Place> one;
  one.push_back({whole, local});
  run(random, one, x, dy);

  Sent sent;
  HalfDispatcher to_far(sent, n_experts, false), to_home(sent, n_experts, true);
  std::vector<Place> two;
  two.push_back({far, to_far});
  two.push_back({home, to_home});
  run(random, two, x, dy);

  expect_close(two[1].y, one[0].y, Tolerance::exact(), "y");
  expect_close(two[1].dx, one[0].dx, Tolerance::exact(), "dx");
  expect_close(home.w_router.grad, whole.w_router.grad, Tolerance::exact(), "router");
  expect_close(shared.w_down.weight.grad, whole.shared->w_down.weight.grad, Tolerance::exact(),
               "shared expert");
  for (const Moe* part : {&far, &home}) {
    expect_same_gradients(part->w_gate, whole.w_gate, part->range.first, "w_gate");
    expect_same_gradients(part->w_up, whole.w_up, part->range.first, "w_up");
    expect_same_gradients(part->w_down, whole.w_down, part->range.first, "w_down");
  }
}

}  // namespace
}  // namespace hadal::test
