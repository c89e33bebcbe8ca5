// Every instruction set that this machine has and our kernels are compiled for computes the same
// products and the same attention, up to rounding. Elsewhere only the best set of the machine runs.
#include <gtest/gtest.h>

#include <array>

#include "hadal/kernels/cpu/simd_targets.h"
#include "hadal/ops/attention.h"
#include "hadal/ops/gemm.h"
#include "hwy/targets.h"
#include "tests/support/attention_terms.h"
#include "tests/support/coded_products.h"
#include "tests/support/compare.h"
#include "tests/support/weights.h"

namespace hadal {
namespace {

using test::expect_close;
using test::random_values;
using test::StoredWeight;
using test::Tolerance;

class InstructionSetTest : public testing::Test {
 protected:
  // Runs body(name) once per instruction set, from the best one down.
  template <class Body>
  void for_each_instruction_set(const Body& body) {
    int n_sets = 0;
    body("all of them");  // with VNNI, which only kernels/cpu/turned_gemm.cc is compiled for
    for (int64_t left = all_; left != 0; left &= left - 1, ++n_sets) {
      hwy::SetSupportedTargetsForTest(left & -left);
      choose();
      body(std::string(hwy::TargetName(left & -left)));
    }
    EXPECT_GE(n_sets, 1);
  }
  void SetUp() override { all_ = choose() & HWY_TARGETS; }
  void TearDown() override {
    hwy::SetSupportedTargetsForTest(0);
    choose();
  }
  // The choice that hwy::SupportedTargets() makes by itself disregards HADAL_SIMD.
  static int64_t choose() {
    const int64_t sets = hwy::SupportedTargets();
    hwy::GetChosenTarget().Update(sets);
    return sets;
  }

  int64_t all_ = 0;
  ThreadPool pool_{1};
  Arena arena_;
  Context cpu_{pool_, arena_, Device::kCpu};
  Context reference_{pool_, arena_, Device::kReference};
};

TEST_F(InstructionSetTest, ProductsAgreeWithReference) {
  const int64_t N = 103, K = 77;
  for (const int64_t T : {1, 7, 16, 70, 100}) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      const StoredWeight w(dtype, N, K, 1);
      const std::vector<float> x = random_values(T * K, 2), dy = random_values(T * N, 3);
      const auto run = [&](Context& ctx) {
        std::vector<float> y(static_cast<size_t>(T * N)), dx(static_cast<size_t>(T * K)),
            dw(static_cast<size_t>(N * K));
        const View<const float, 2> x_view(x.data(), {T, K}), dy_view(dy.data(), {T, N});
        gemm_nt(ctx, {y.data(), {T, N}}, x_view, w.view());
        gemm_nn(ctx, {dx.data(), {T, K}}, dy_view, w.view());
        gemm_tn(ctx, {dw.data(), {N, K}}, dy_view, x_view);
        return std::array{y, dx, dw};
      };
      const auto want = run(reference_);
      for_each_instruction_set([&](const std::string& name) {
        const auto got = run(cpu_);
        expect_close(got[0], want[0], Tolerance::for_sum(K).in_rows_of(N), name + " y");
        expect_close(got[1], want[1], Tolerance::for_sum(N).in_rows_of(K), name + " dx");
        expect_close(got[2], want[2], Tolerance::for_sum(T + 1).in_rows_of(K), name + " dw");
      });
    }
  }
}

// Bit for bit, also from the middle of a block of rows on: 103 x 77 from (120, 100) meets four blocks.
TEST_F(InstructionSetTest, CodesAreMultipliedAsDefined) {
  const int64_t N = 103, K = 77;
  for (const WeightForm form : {WeightForm::kFp8, WeightForm::kQ8, WeightForm::kQ4}) {
    const bool fp8 = form == WeightForm::kFp8;
    const test::CodedWeight w(form, N, K, 1, fp8 ? kWeightBlocks : kQuantBlocks, 120,
                              fp8 ? 100 : 0);
    for (const int64_t T : {1, 7, 70}) {
      const std::vector<float> x = random_values(T * K, 2), dy = random_values(T * N, 3);
      const View<const float, 2> x_view(x.data(), {T, K}), dy_view(dy.data(), {T, N});
      for_each_instruction_set([&](const std::string& name) {
        std::vector<float> y(static_cast<size_t>(T * N)), dx(static_cast<size_t>(T * K));
        gemm_nt(cpu_, {y.data(), {T, N}}, x_view, w.view());
        gemm_nn(cpu_, {dx.data(), {T, K}}, dy_view, w.view());
        EXPECT_EQ(y, test::expected_nt(cpu_, x_view, w.view())) << name << " " << form_name(form);
        EXPECT_EQ(dx, test::expected_nn(cpu_, dy_view, w.view())) << name << " " << form_name(form);
      });
    }
  }
}

TEST_F(InstructionSetTest, AttentionAgreesWithReference) {
  const int64_t T = 150, H = 2;
  const AttentionDims dims{H, 10, 6, 13};
  const std::vector<float> q = random_values(T * H * 16, 1), kv = random_values(T * H * 23, 2);
  const std::vector<float> k_rope = random_values(T * 6, 3), d_o = random_values(T * H * 13, 4);
  const View<const float, 3> q_view(q.data(), {T, H, 16}), kv_view(kv.data(), {T, H, 23});
  const View<const float, 3> d_o_view(d_o.data(), {T, H, 13});
  const View<const float, 2> k_rope_view(k_rope.data(), {T, 6});
  const Sequences sequences{{0, 20, T}};
  const auto run = [&](Context& ctx) {
    std::array<std::vector<float>, 5> r;
    const size_t sizes[] = {d_o.size(), static_cast<size_t>(T * H), q.size(), kv.size(),
                            k_rope.size()};
    for (size_t i = 0; i < r.size(); ++i) r[i].resize(sizes[i]);
    const View<float, 3> o(r[0].data(), {T, H, 13});
    const View<float, 2> lse(r[1].data(), {T, H});
    attention_forward(ctx, o, lse, q_view, kv_view, k_rope_view, sequences, dims, 0.3F);
    attention_backward(ctx, {r[2].data(), {T, H, 16}}, {r[3].data(), {T, H, 23}},
                       {r[4].data(), {T, 6}}, d_o_view, q_view, kv_view, k_rope_view, o, lse,
                       sequences, dims, 0.3F);
    return r;
  };
  const auto want = run(reference_);
  const test::AttentionTerms terms(q_view, kv_view, k_rope_view, d_o_view, sequences.offsets, dims,
                                   0.3F);
  const std::vector<double> scale[] = {{}, {}, terms.dq, {}, terms.dk_rope};
  for_each_instruction_set([&](const std::string& name) {
    const auto got = run(cpu_);
    const char* parts[] = {" o", " lse", " dq", " dkv", " dk_rope"};
    const int64_t row[] = {13, H, 16, 23, 6};
    for (size_t i = 0; i < got.size(); ++i) {
      expect_close(got[i], want[i],
                   Tolerance::for_sum(T + 4 * 16 + 16).in_rows_of(row[i]).with_scale(scale[i]),
                   name + parts[i]);
    }
  });
}

}  // namespace
}  // namespace hadal
