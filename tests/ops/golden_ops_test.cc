// The stored values of single ops and their gradients (tools/golden/op_case.py) on every backend.
#include <cmath>
#include <set>

#include "hadal/ops/adamw_update.h"
#include "hadal/ops/attention.h"
#include "hadal/ops/cross_entropy.h"
#include "hadal/ops/rmsnorm.h"
#include "hadal/ops/router.h"
#include "hadal/ops/swiglu.h"
#include "tests/ops/golden_units.h"
#include "tests/ops/op_test.h"
#include "tests/support/attention_terms.h"

namespace hadal::test {
namespace {

class GoldenOps : public ::testing::TestWithParam<Device> {
 protected:
  GoldenOps() : machine_(GetParam(), 3) {}
  Context& ctx() { return machine_.ctx(); }
  void use(const std::string& op) { op_ = op; }
  const Json& set(const char* name) const { return golden_.settings().at(op_).at("set").at(name); }
  float number(const char* name) const { return static_cast<float>(set(name).as_number()); }
  Sequences sequences() const {
    Sequences result;
    result.offsets.clear();
    for (const Json& each : set("offsets").as_array()) result.offsets.push_back(each.as_integer());
    return result;
  }
  Tensor in(const std::string& name) {
    return golden_.tensor(op_ + ".in." + name).clone(ctx().arena);
  }
  static std::vector<float> values(const Tensor& t) {
    const auto flat = t.flat<float>();
    return {flat.begin(), flat.end()};
  }
  Tensor room(const std::string& like) { return ctx().zeros(in(like).shape()); }
  void expect(const Tensor& got, const std::string& name, const Tolerance& tolerance) {
    const Tensor want = golden_.tensor(op_ + "." + name);
    const std::vector<float> a = values(got), b = values(want);
    ASSERT_EQ(got.shape(), want.shape()) << name;
    const int64_t row = tolerance.row_length > 0 ? tolerance.row_length : want.shape().back();
    expect_close(a, b, tolerance.in_rows_of(row), op_ + "." + name);
    compared_.insert(op_ + "." + name);
  }
  // All that is stored of this op.
  void TearDown() override {
    for (const auto& each : golden_.file().tensors()) {
      const std::string& name = each.name;
      if (!name.starts_with(op_ + ".") || name.starts_with(op_ + ".in.")) continue;
      EXPECT_TRUE(compared_.contains(name)) << name << ": not compared";
    }
    EXPECT_FALSE(compared_.empty());
  }

 private:
  const GoldenUnits golden_{HADAL_GOLDEN_DIR "/ops/ops"};
  Machine machine_;
  std::string op_;
  std::set<std::string> compared_;
};
INSTANTIATE_TEST_SUITE_P(Backends, GoldenOps, ::testing::ValuesIn(all_devices()));

TEST_P(GoldenOps, RmsNorm) {
  use("rmsnorm");
  const Tensor x = in("x"), w = in("w"), dy = in("dy");
  Tensor y = room("x"), dx = room("x"), dw = room("w"), r = ctx().zeros({x.dim(0)});
  rmsnorm_forward(ctx(), y.mat(), r.vec(), x.mat(), w.vec(), number("eps"));
  rmsnorm_backward_input(ctx(), dx.mat(), dy.mat(), x.mat(), w.vec(), std::as_const(r).vec());
  rmsnorm_backward_weight(ctx(), dw.vec(), dy.mat(), x.mat(), std::as_const(r).vec());
  const Tolerance tolerance = Tolerance::for_sum(48);
  expect(y, "y", tolerance);
  expect(dx, "dx", tolerance);
  expect(dw, "dw", tolerance);
  expect(r, "r", tolerance.in_rows_of(1));  // from 1e-4 to 30
}

TEST_P(GoldenOps, SwiGlu) {
  use("swiglu");
  const Tensor gate = in("gate"), up = in("up"), dh = in("dh");
  Tensor h = room("gate"), dgate = room("gate"), dup = room("gate");
  swiglu_forward(ctx(), h.mat(), gate.mat(), up.mat());
  swiglu_backward(ctx(), dgate.mat(), dup.mat(), dh.mat(), gate.mat(), up.mat());
  expect(h, "h", Tolerance::for_sum(8));
  expect(dgate, "dgate", Tolerance::for_sum(8));
  expect(dup, "dup", Tolerance::for_sum(8));
}

TEST_P(GoldenOps, CrossEntropy) {
  use("cross_entropy");
  const Tensor targets = in("targets");
  Tensor logits = in("logits").clone(ctx().arena), loss = ctx().zeros({logits.dim(0)});
  cross_entropy_forward_backward(ctx(), loss.vec(), logits.mat(), targets.flat<int32_t>(),
                                 number("scale"));
  expect(loss, "loss", Tolerance::for_sum(8).in_rows_of(1));
  expect(logits, "dlogits", Tolerance::for_sum(8));
}

TEST_P(GoldenOps, Attention) {
  use("attention");
  const Tensor q = in("q"), kv = in("kv"), k_rope = in("k_rope"), d_o = in("do");
  Tensor o = room("do"), dq = room("q"), dkv = room("kv"), dk_rope = room("k_rope");
  Tensor lse = ctx().zeros({q.dim(0), q.dim(1)});
  const int64_t d_nope = set("d_nope").as_integer();
  const AttentionDims dims{q.dim(1), d_nope, q.dim(2) - d_nope, kv.dim(2) - d_nope};
  const auto read = [](const Tensor& t) { return t.view<float, 3>(); };
  attention_forward(ctx(), o.view<float, 3>(), lse.mat(), read(q), read(kv), k_rope.mat(),
                    sequences(), dims, number("scale"));
  attention_backward(ctx(), dq.view<float, 3>(), dkv.view<float, 3>(), dk_rope.mat(), read(d_o),
                     read(q), read(kv), k_rope.mat(), read(o), std::as_const(lse).mat(),
                     sequences(), dims, number("scale"));
  const Tolerance tolerance = Tolerance::for_sum(12 + 4 * 10 + 16);  // as attention_test.cc
  const AttentionTerms terms(read(q), read(kv), k_rope.mat(), read(d_o), sequences().offsets, dims,
                             number("scale"));
  expect(o, "o", tolerance);
  expect(lse, "lse", tolerance);
  expect(dq, "dq", tolerance.with_scale(terms.dq));
  expect(dkv, "dkv", tolerance);
  expect(dk_rope, "dk_rope", tolerance.with_scale(terms.dk_rope));
}

TEST_P(GoldenOps, Adamw) {
  use("adamw");
  const Tensor grad = in("grad");
  Tensor value = in("value").clone(ctx().arena), m = in("m").clone(ctx().arena),
         v = in("v").clone(ctx().arena);
  const double step = set("step").as_number();
  adamw_update(ctx(), value.flat<float>(), m, v, grad.flat<float>(),
               {.lr = number("lr"),
                .beta1 = number("beta1"),
                .beta2 = number("beta2"),
                .eps = number("eps"),
                .weight_decay = number("weight_decay"),
                .grad_scale = number("grad_scale"),
                .bias1 = 1 - std::pow(set("beta1").as_number(), step),
                .bias2 = 1 - std::pow(set("beta2").as_number(), step)});
  expect(value, "value", Tolerance::for_sum(4));
  expect(m, "m", Tolerance::for_sum(4));
  expect(v, "v", Tolerance::for_sum(4).in_rows_of(1));
}

TEST_P(GoldenOps, SequenceBalanceLoss) {
  use("balance");
  const Tensor scores = in("scores");
  Tensor dscores = room("scores"), loss = ctx().zeros({1});
  const RouterConfig config{.n_routed_experts = scores.dim(1),
                            .top_k = set("top_k").as_integer(),
                            .n_group = 1,
                            .topk_group = 1};
  const Tensor chosen = ctx().zeros({scores.dim(0), config.top_k}, DType::kI32);
  loss.vec()(0) = static_cast<float>(
      sequence_balance_loss(ctx(), dscores.mat(), scores.mat(), chosen.view<int32_t, 2>(),
                            sequences(), 1.0F, 1.0F, BalanceCount::kUnbiasedTopK, config));
  expect(loss, "loss", Tolerance::for_sum(16));
  expect(dscores, "dscores", Tolerance::for_sum(16));
}

}  // namespace
}  // namespace hadal::test
