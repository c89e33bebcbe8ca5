// The reference values of generation: 32 greedy tokens and the logits each was taken from, and FP8
// linears in front of absorbed attention. HADAL_GOLDEN names a folder with further cases.
#include <algorithm>

#include "gtest/gtest.h"
#include "hadal/infer/session.h"
#include "hadal/model/checkpoint.h"
#include "hadal/model/head.h"
#include "hadal/ops/compute_device.h"
#include "hadal/ops/copy.h"
#include "hadal/model/precision.h"
#include "tests/infer/one_sequence.h"
#include "tests/support/devices.h"
#include "tests/support/golden_case.h"

namespace hadal {
namespace {

using test::GoldenCase;
using test::OneSequence;

// On the CPU, and on the card if there is one.
class GoldenGenerationTest : public testing::TestWithParam<Device> {
 protected:
  // One pass of all tokens in absorbed form.
  Tensor absorbed_logits(const DeepseekV3& model, std::span<const int32_t> tokens,
                         HiddenRows* hidden = nullptr) {
    const int64_t n = std::ssize(tokens);
    OneSequence past(model.config, n, 0, LatentForm::kF32, device_.memory());
    AbsorbedAttention attention(model.rope, {{&past.sequence, n}});
    HiddenRows out = cached_forward(ctx_, model, tokens, attention);
    Tensor logits = head_logits(ctx_, model, out.normed.mat());
    if (hidden != nullptr) *hidden = std::move(out);
    return logits;
  }

  DeepseekV3 load(const GoldenCase& golden) { return load_model(ctx_, golden.checkpoints.front()); }

  ThreadPool pool_{1};
  const ComputeDevice device_{GetParam()};
  Arena arena_{device_.memory()};
  Context ctx_ = device_.context(pool_, arena_);
};
INSTANTIATE_TEST_SUITE_P(Devices, GoldenGenerationTest,
                         testing::ValuesIn(test::computing_devices()),
                         [](const auto& param) { return test::device_name(param.param); });

TEST_P(GoldenGenerationTest, GreedyTokensWithAndWithoutSpeculation) {
  for (const GoldenCase& golden : test::golden_cases(&GoldenCase::has_greedy)) {
    for (const std::string& folder : golden.checkpoints) {
      for (const LoadAs dtype : {LoadAs::kF32, LoadAs::kAsStored}) {
        const DeepseekV3 model = load_model(ctx_, folder, {.dtype = dtype});
        const Tensor prompt = golden.at("greedy.prompt"), want = golden.at("greedy.tokens");
        const std::vector<int32_t> prompt_ids(prompt.flat<int32_t>().begin(),
                                              prompt.flat<int32_t>().end());
        const std::vector<int32_t> want_ids(want.flat<int32_t>().begin(),
                                            want.flat<int32_t>().end());
        const int64_t deepest = model.config.n_mtp > 0 ? 4 : 0;
        // All depths where it costs nothing.
        const int64_t step = GetParam() == Device::kCpu ? 1 : 4;
        for (int64_t depth = 0; depth <= deepest; depth += step) {
          const GenerateResult result = generate(
              ctx_, model, prompt_ids,
              {.max_tokens = static_cast<int64_t>(want_ids.size()), .draft_tokens = depth});
          EXPECT_EQ(result.tokens, want_ids) << folder << ", depth " << depth;
        }
      }
    }
  }
}

TEST_P(GoldenGenerationTest, GreedyLogitsRowByRowBehindTheCache) {
  for (const GoldenCase& golden : test::golden_cases(&GoldenCase::has_greedy)) {
    const DeepseekV3 model = load(golden);
    const Tensor prompt = golden.at("greedy.prompt"), tokens = golden.at("greedy.tokens");
    std::vector<int32_t> ids(prompt.flat<int32_t>().begin(), prompt.flat<int32_t>().end());
    ids.insert(ids.end(), tokens.flat<int32_t>().begin(), tokens.flat<int32_t>().end() - 1);
    OneSequence past(model.config, std::ssize(ids), 0, LatentForm::kF32, device_.memory());
    Arena host;
    Tensor got = Tensor::empty(host, DType::kF32, {tokens.size(), model.config.vocab_size});
    int64_t row = 0;
    for (size_t t = 0; t < ids.size(); ++t) {
      AbsorbedAttention attention(model.rope, {{&past.sequence, 1}});
      const HiddenRows out = cached_forward(ctx_, model, std::span(ids).subspan(t, 1), attention);
      if (t + 1 < prompt.flat<int32_t>().size()) continue;
      const Tensor logits = head_logits(ctx_, model, out.normed.mat()).to_host();
      std::ranges::copy(logits.flat<float>(), got.mat().row(row++).begin());
    }
    EXPECT_EQ(row, tokens.size());
    test::expect_golden(got, golden.at("greedy.logits"), 1e-5, golden.folder + " greedy.logits");
  }
}

TEST_P(GoldenGenerationTest, AbsorbedLogitsOfTheStoredSequences) {
  for (const GoldenCase& golden : test::golden_cases()) {
    const DeepseekV3 model = load(golden);
    const TokenLists sequences = golden.sequences();
    for (size_t s = 0; s < sequences.size(); ++s) {
      const std::string name = concat("seq", s, ".logits");
      test::expect_golden(absorbed_logits(model, sequences[s]).to_host(), golden.at(name), 1e-5,
                          golden.folder + " " + name);
    }
  }
}

TEST_P(GoldenGenerationTest, Fp8LinearsInFrontOfAbsorbedAttention) {
  for (const GoldenCase& golden : test::golden_cases(&GoldenCase::is_fp8)) {
    int64_t compared = 0;
    DeepseekV3 model = load(golden);
    set_precision(model, model.config.fp8_power_of_two_scales ? Precision::kFp8InputPowerOfTwo
                                                              : Precision::kFp8Input);
    const TokenLists sequences = golden.sequences();
    for (size_t s = 0; s < sequences.size(); ++s) {
      const std::string name = concat("seq", s, ".fp8_gemm_absorb.logits");
      HiddenRows main;
      const Tensor got = absorbed_logits(model, sequences[s], &main).to_host();
      test::expect_golden(got, golden.at(name), 1e-2, golden.folder + " " + name);
      EXPECT_GE(test::top1_agreement(got, golden.at(name)), 0.98);
      ++compared;

      const std::string mtp_name = concat("seq", s, ".fp8_gemm_absorb.mtp.1.logits");
      if (!golden.has(mtp_name)) continue;  // of one sequence, counted below
      ++compared;
      const int64_t n = golden.at(mtp_name).dim(0);
      Tensor state = ctx_.empty({n, model.config.d_model});
      copy_rows(ctx_, state.mat(), std::as_const(main.normed).mat().rows(0, n));
      OneSequence past(model.config, n, 1, LatentForm::kF32, device_.memory());
      AbsorbedAttention attention(model.rope, {{&past.sequence, n}});
      const HiddenRows out =
          cached_mtp_forward(ctx_, model, 0, std::span(sequences[s]).subspan(1), state, attention);
      test::expect_golden(head_logits(ctx_, model, out.normed.mat()).to_host(), golden.at(mtp_name),
                          1e-2, golden.folder + " " + mtp_name);
    }
    const auto selected = [](const std::string& name) {
      return name.starts_with("seq") && name.find(".fp8_gemm_absorb.") != std::string::npos;
    };
    EXPECT_GT(compared, 0);
    EXPECT_EQ(compared, std::ranges::count_if(golden.names_with("seq"), selected));
    EXPECT_GE(compared, std::ranges::count_if(golden.required_tensors(), selected));
  }
}

}  // namespace
}  // namespace hadal
