// `hadal dump` as a user runs it: its file against the committed golden cases, and its errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/golden_case.h"
#include "tests/support/run_hadal.h"

namespace hadal::test {
namespace {

class Dump : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "hadal_dump_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name() + "/";
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + name) << text;
    return folder_ + name;
  }
  std::string write_lists(const TokenLists& lists) const {
    Json json = Json::array();
    for (const auto& ids : lists) {
      Json list = Json::array();
      for (const int32_t id : ids) list.push_back(id);
      json.push_back(std::move(list));
    }
    return write("tokens.json", json.dump());
  }
  testing::RunResult dump(const std::string& model, const std::string& tokens,
                          const std::string& what, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"dump",   "--model", model,   "--tokens", tokens,
                                          "--what", what,      "--out", out()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_hadal(arguments);
  }
  std::string out() const { return folder_ + "out.safetensors"; }

  void expect_usage_error(const testing::RunResult& result, const std::string& text) const {
    testing::expect_refused(result, {{}, text});
    EXPECT_FALSE(std::filesystem::exists(out())) << "a file was written in spite of the error";
  }

  std::string folder_;
  std::string golden_ = HADAL_GOLDEN_DIR;
};

TEST_F(Dump, InferenceMatchesTheGoldenFiles) {
  for (const GoldenCase& golden : golden_cases()) {
    SCOPED_TRACE(golden.folder);
    const auto result = dump(golden.checkpoints.front(), write_lists(golden.sequences()),
                             "logits,hidden,routing,mtp", {"--json"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const TensorSource got = TensorSource::open(out());
    // Every tensor of the file is listed, with its type and shape.
    const Json document = parse_json(result.out, "stdout");
    const Json::Array& listed = document.at("tensors").as_array();
    EXPECT_EQ(listed.size(), got.entries().size());
    for (const Json& each : listed) {
      const TensorSource::Entry* entry = got.find(each.at("name").as_string());
      ASSERT_NE(entry, nullptr) << each.dump();
      EXPECT_EQ(each.at("dtype").as_string(), dtype_name(entry->info->dtype));
      EXPECT_EQ(each.at("shape"), Json::array_of(entry->info->shape));
    }
    int64_t compared = 0;
    const auto selected = [](const std::string& name) {  // no input, no variant
      return name.starts_with("seq") && name.find("input_ids") == std::string::npos &&
             name.find("fp8_") == std::string::npos && name.find("pre_norm") == std::string::npos;
    };
    for (const std::string& name : golden.names_with("seq")) {
      if (!selected(name)) continue;
      const TensorSource::Entry* entry = got.find(name);
      ASSERT_NE(entry, nullptr) << name;
      expect_golden(got.tensor(*entry), golden.at(name), 1e-5, name);
      ++compared;
    }
    EXPECT_GE(compared, std::ranges::count_if(golden.required_tensors(), selected));
    EXPECT_GT(compared, 0);
  }
}

TEST_F(Dump, LossAndGradientsMatchTheGoldenFiles) {
  for (const GoldenCase& golden : golden_cases(&GoldenCase::has_training)) {
    const TokenLists lists = golden.training_lists(1);
    SCOPED_TRACE(golden.folder);
    const auto result = dump(golden.checkpoints.front(), write_lists(lists), "loss,gradients",
                             {"--mtp-weight", "0.3", "--balance-weight", "0.02", "--threads", "1"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const TensorSource got = TensorSource::open(out());
    int64_t compared = 0;
    for (const auto& [name, entry] : got.entries()) {
      if (!name.starts_with("grad.")) continue;
      expect_golden(got.tensor(entry), golden.at(name), kGradientBound, name);
      ++compared;
    }
    EXPECT_GT(compared, 0);
    EXPECT_EQ(compared, std::ssize(golden.names_with("grad.")));
    const Json& want = golden.scalars.at("train").at("steps").as_array()[0];
    const auto loss = [&](const std::string& name) {
      const Tensor value = got.tensor(*got.find("loss." + name));
      EXPECT_TRUE(value.shape().empty()) << "a scalar has no axes";
      return double{value.flat<float>()[0]};
    };
    const double total = want.at("loss_total").as_number();
    EXPECT_NEAR(loss("total"), total, 1e-5 * total);
    EXPECT_NEAR(loss("ce"), want.at("ce").as_number(), 1e-5 * total);
    EXPECT_NEAR(loss("balance"), want.at("balance_sum").as_number(), 1e-5 * total);
    EXPECT_NEAR(loss("ce") + 0.3 * loss("mtp") + 0.02 * loss("balance"), total, 1e-5 * total);
  }
}

TEST_F(Dump, Fp8ActivationsMatchTheGoldenFiles) {
  for (const GoldenCase& golden : golden_cases(&GoldenCase::is_fp8)) {
    SCOPED_TRACE(golden.folder);
    const auto result = dump(golden.checkpoints.front(), write_lists(golden.sequences()), "logits",
                             {"--fp8-activations"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const TensorSource got = TensorSource::open(out());
    EXPECT_EQ(std::ssize(got.entries()), golden.n_sequences());
    for (int64_t s = 0; s < golden.n_sequences(); ++s) {
      const std::string seq = concat("seq", s, ".");
      expect_golden(got.tensor(*got.find(seq + "logits")), golden.at(seq + "fp8_gemm.logits"), 1e-2,
                    seq + "fp8_gemm.logits");
    }
  }
}

TEST_F(Dump, SaysWhatIsWrongWithTheTokens) {
  const std::string model = golden_ + "/f_tied";
  const auto fails = [&](const std::string& text, const std::string& message) {
    SCOPED_TRACE(text);
    expect_usage_error(dump(model, write("tokens.json", text), "logits"), message);
  };
  fails("[[1, 2], [3, 112]]", folder_ + "tokens.json: list 1, id 1: token id out of range");
  fails("[[-1]]", folder_ + "tokens.json: list 0, id 0: token id out of range");
  fails("[[1.5]]", folder_ + "tokens.json: list 0, id 0: not a token id");
  fails("[[\"a\"]]", folder_ + "tokens.json: list 0, id 0: not a token id (found string, expected");
  fails("[]", folder_ + "tokens.json: no token lists");
  fails("[[]]", folder_ + "tokens.json: list 0: empty");
  fails("[1, 2]", folder_ + "tokens.json: list 0: not a list");
  fails("[[1], 2]", folder_ + "tokens.json: list 1: not a list");
  fails("[[1], [2", folder_ + "tokens.json: line 1, column 9: not valid JSON");
  fails("", folder_ + "tokens.json: line 1, column 1: not valid JSON");
  expect_usage_error(dump(model, folder_ + "absent.json", "logits"),
                     folder_ + "absent.json: cannot be read");

  const std::string ragged = write("tokens.json", "[[1, 2, 3], [4, 5]]");
  expect_usage_error(dump(model, ragged, "loss"), "--tokens: lists differ in length");
  expect_usage_error(dump(model, ragged, "gradients"), "--tokens: lists differ in length");
  expect_usage_error(dump(model, write("tokens.json", "[[1]]"), "loss"), "--tokens: too short");
}

TEST_F(Dump, SaysWhatIsWrongWithTheOptions) {
  const std::string model = golden_ + "/f_tied";
  const std::string tokens = write("tokens.json", "[[1, 2, 3]]");
  expect_usage_error(dump(model, tokens, "logit"), "--what: unknown part");
  expect_usage_error(dump(model, tokens, ""), "--what");
  expect_usage_error(dump(model, tokens, "logits,,loss"), "--what");
  expect_usage_error(dump(folder_ + "absent", tokens, "logits"), folder_ + "absent: not a folder");
  expect_usage_error(dump(model, tokens, "logits", {"--fp8-activations"}), "--fp8-activations");
  expect_usage_error(dump(model, tokens, "loss", {"--mtp-weight", "-1"}), "--mtp-weight");
  expect_usage_error(dump(model, tokens, "loss", {"--balance-weight", "nan"}), "--balance-weight");
  expect_usage_error(dump(model, tokens, "gradients", {"--dtype", "native"}), "--dtype");
  expect_usage_error(dump(model, tokens, "logits", {"--dtype", "f64"}), "--dtype: unknown value");
}

TEST_F(Dump, NativeWeightsGiveTheSameLogits) {
  const std::string model = golden_ + "/b_moonlight";
  const std::string tokens = write("tokens.json", "[[1, 2, 3, 4, 5]]");
  ASSERT_EQ(dump(model, tokens, "logits").exit_code, 0);
  const TensorSource f32 = TensorSource::open(out());
  const Tensor want = f32.tensor(*f32.find("seq0.logits"));
  const auto result = dump(model, tokens, "logits", {"--dtype", "native"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const TensorSource native = TensorSource::open(out());
  expect_golden(native.tensor(*native.find("seq0.logits")), want, 1e-6, "seq0.logits");
}

}  // namespace
}  // namespace hadal::test
