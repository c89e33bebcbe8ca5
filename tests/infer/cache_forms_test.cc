// The cache in its three forms behind both attentions: prefill reads what decoding reads, and neither
// chunks nor threads nor neighbours change a bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "hadal/infer/engine.h"
#include "hadal/infer/session.h"
#include "hadal/model/head.h"
#include "tests/infer/one_sequence.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::elements;
using test::odd_config;
using test::OneSequence;
using test::RandomModel;

class CacheFormTest : public testing::TestWithParam<LatentForm> {
 protected:
  // The final states of all tokens: chunks of `chunk` rows in MHA form, from row `decoded` on in absorbed
  // form, one by one.
  std::vector<float> states(const std::vector<int32_t>& tokens, int64_t chunk, int64_t decoded,
                            LatentForm form) {
    const int64_t n_all = std::ssize(tokens);
    OneSequence past(random_.model.config, n_all, 0, form);
    std::vector<float> result;
    for (int64_t begin = 0; begin < n_all;) {
      const int64_t n = begin < decoded ? std::min(chunk, decoded - begin) : 1;
      PrefillAttention prefill(random_.model.rope, past.sequence);
      AbsorbedAttention absorbed(random_.model.rope, {{&past.sequence, n}});
      AttentionForm& attention = begin < decoded ? static_cast<AttentionForm&>(prefill) : absorbed;
      const std::span<const int32_t> all(tokens);
      const HiddenRows out = cached_forward(
          random_.ctx, random_.model,
          all.subspan(static_cast<size_t>(begin), static_cast<size_t>(n)), attention);
      const std::vector<float> rows = elements(out.normed.mat());
      result.insert(result.end(), rows.begin(), rows.end());
      begin += n;
    }
    return result;
  }
  // |got - want| / |want| of every token's state, in ascending order.
  std::vector<double> row_errors(const std::vector<float>& got, const std::vector<float>& want) {
    const size_t d = static_cast<size_t>(random_.model.config.d_model);
    std::vector<double> errors;
    for (size_t row = 0; row < want.size(); row += d) {
      double error = 0, size = 0;
      for (size_t i = row; i < row + d; ++i) {
        error += std::pow(double{got[i]} - double{want[i]}, 2);
        size += std::pow(double{want[i]}, 2);
      }
      errors.push_back(std::sqrt(error / size));
    }
    std::sort(errors.begin(), errors.end());
    return errors;
  }
  RandomModel random_{odd_config(), 5};
};

TEST_P(CacheFormTest, ChunksChangeNoBit) {
  const std::vector<int32_t> tokens = random_.random_tokens(330, 1);
  const std::vector<float> whole = states(tokens, 330, 330, GetParam());
  for (const int64_t chunk : {1, 50, 64, 128, 300}) {
    EXPECT_EQ(states(tokens, chunk, 330, GetParam()), whole) << "chunks of " << chunk;
  }
}

// Both forms see the same rows, so they differ by rounding alone: of F32, or where queries are rounded
// to BF16 for processors that multiply pairs, of that. A rounding may also tip the choice of an expert:
// the median says what it does to the other rows.
TEST_P(CacheFormTest, PrefillIsTokenByTokenDecode) {
  const std::vector<int32_t> tokens = random_.random_tokens(200, 2);
  const std::vector<double> errors =
      row_errors(states(tokens, 200, 0, GetParam()), states(tokens, 200, 200, GetParam()));
  if (GetParam() == LatentForm::kF32) {
    EXPECT_LE(errors.back(), 1e-4);
  }
  EXPECT_LE(errors[errors.size() / 2], 0.02);
}

TEST_P(CacheFormTest, FormsAreNearF32) {
  const std::vector<int32_t> tokens = random_.random_tokens(200, 3);
  const std::vector<double> errors =
      row_errors(states(tokens, 200, 200, GetParam()), states(tokens, 200, 200, LatentForm::kF32));
  const double most = GetParam() == LatentForm::kF32    ? 0.0
                      : GetParam() == LatentForm::kBF16 ? 0.01
                                                        : 0.1;
  EXPECT_LE(errors[errors.size() / 2], most);
}

// Hits on prompts give the bits of reading again; conversations read no token twice.
TEST_P(CacheFormTest, AnAnswerBehindAHitIsTheAnswerWithoutOne) {
  GenerateOptions options{.max_tokens = 20, .draft_tokens = 1};
  options.sampling.temperature = 1.0;
  options.sampling.seed = 4;
  const CacheOptions cache{.form = GetParam(), .reuse = Reuse::kRead};
  GenerationSession session(random_.ctx, random_.model, 400, true, cache);
  std::vector<int32_t> prompt = random_.random_tokens(150, 4);
  for (int turn = 0; turn < 3; ++turn) {
    const GenerateResult result = session.generate(prompt, options);
    EXPECT_EQ(result.tokens,
              generate(random_.ctx, random_.model, prompt, options, nullptr, nullptr, cache).tokens)
        << "turn " << turn;
    EXPECT_EQ(result.cached_tokens > 0, turn > 0);
    prompt.resize(static_cast<size_t>(150 - 20 * turn));
    const std::vector<int32_t> more = random_.random_tokens(30, static_cast<uint64_t>(10 + turn));
    prompt.insert(prompt.end(), more.begin(), more.end());
  }
}

TEST_P(CacheFormTest, AConversationReadsNoTokenTwice) {
  const GenerateOptions options{.max_tokens = 6};
  GenerationSession session(random_.ctx, random_.model, 500, false, {.form = GetParam()});
  std::vector<int32_t> prompt = random_.random_tokens(40, 5);
  for (int turn = 0; turn < 20; ++turn) {
    const GenerateResult result = session.generate(prompt, options);
    const int64_t n_new = turn == 0 ? 40 : 1 + 12;  // the last token of an answer was never run
    EXPECT_EQ(result.prompt_tokens - result.cached_tokens, n_new) << "turn " << turn;
    prompt.insert(prompt.end(), result.tokens.begin(), result.tokens.end());
    const std::vector<int32_t> more = random_.random_tokens(12, static_cast<uint64_t>(20 + turn));
    prompt.insert(prompt.end(), more.begin(), more.end());
  }
}

// A prompt that another process has read, and what damage does to it: nothing but time.
TEST_P(CacheFormTest, PagesOnDiskServeALaterProcess) {
  test::TemporaryFolder folder;
  const std::vector<int32_t> prompt = random_.random_tokens(200, 6);
  const GenerateOptions options{.max_tokens = 12, .draft_tokens = 1};
  const auto run = [&](const std::string& model_id) {
    CacheOptions cache{.form = GetParam()};
    if (!model_id.empty()) cache.folder = {folder.path(), 1 << 24, model_id};
    return generate(random_.ctx, random_.model, prompt, options, nullptr, nullptr, cache);
  };
  const std::vector<int32_t> want = run("").tokens;
  const auto expect_cached = [&](const std::string& model_id, int64_t n, const char* when) {
    const GenerateResult result = run(model_id);
    EXPECT_EQ(result.cached_tokens, n) << when;
    EXPECT_EQ(result.tokens, want) << when;
  };
  expect_cached("model a", 0, "nothing there");
  EXPECT_EQ(folder.names().size(), 3U) << "full pages alone";
  expect_cached("model a", 192, "read by another");
  expect_cached("model b", 0, "another model's");
  EXPECT_EQ(folder.names().size(), 6U);

  // A byte of every file is turned.
  for (const std::string& name : folder.names()) {
    std::string bytes = test::read_bytes(folder / name);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    folder.write(name, bytes);
  }
  expect_cached("model a", 0, "the first page's file is damaged, so nobody looks at the next");
  expect_cached("model a", 64, "it was made again, the second is damaged");
  expect_cached("model a", 128, "and the third");
  expect_cached("model a", 192, "all made again");
}

INSTANTIATE_TEST_SUITE_P(Forms, CacheFormTest, testing::ValuesIn(kLatentForms),
                         [](const auto& instance) {
                           return std::string(latent_form_name(instance.param));
                         });

}  // namespace
}  // namespace hadal
