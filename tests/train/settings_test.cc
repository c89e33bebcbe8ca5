// RUN.toml: what is refused, with which words, and which source wins.
#include <gtest/gtest.h>

#include <cstdlib>

#include "hadal/train/config.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

// A home without configuration files, so that the machine's own do not take part.
class SettingsTest : public ::testing::Test {
 protected:
  void SetUp() override { setenv("XDG_CONFIG_HOME", folder_.path().c_str(), 1); }
  void TearDown() override {
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HADAL_TRAIN_STEPS");
  }
  TrainConfig read(const std::string& toml, const std::vector<std::string>& set = {}) {
    return read_train_config(folder_.write("run.toml", toml), set);
  }
  std::string error_of(const std::string& toml, const std::vector<std::string>& set = {}) {
    try {
      const TrainConfig config = read(toml, set);
      model_shape(config, 0);
      config.validate();
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      return error.what();
    }
    return "no error";
  }
  test::TemporaryFolder folder_;
};

constexpr const char* kGood = R"([model]
preset = "tiny"
[data]
paths = ["x"]
[train]
out = "r"
steps = 10
)";

TEST_F(SettingsTest, AcceptsAndKeepsValues) {
  const TrainConfig config = read(std::string(kGood) + "seq_len = 64\n[optimizer]\nbeta2 = 0.99\n");
  EXPECT_EQ(config.train.seq_len, 64);
  EXPECT_EQ(config.optimizer.beta2, 0.99);
  EXPECT_EQ(config.data.paths, std::vector<std::string>{"x"});
  EXPECT_EQ(config.optimizer.learning_rate, 2.2e-4);  // untouched: DeepSeek-V3's
  EXPECT_EQ(error_of(kGood), "no error");
}

TEST_F(SettingsTest, EveryMistakeIsNamedWithItsPlace) {
  struct Case {
    const char* toml;
    std::vector<const char*> words;
  };
  const std::vector<Case> cases = {
      {"[train]\nstep = 5\n", {"run.toml: line 2: train.step", "did you mean train.steps"}},
      {"[trian]\nsteps = 5\n", {"line 2: trian.steps", "did you mean train.steps"}},
      {"steps = 5\n", {"line 1: steps", "outside a section"}},
      {"[train]\nsteps = \"many\"\n", {"line 2: train.steps: wrong type", "string", "an integer"}},
      {"[train]\nsteps = 1.5\n", {"train.steps: wrong type", "1.5"}},
      {"[train]\nsteps = -1\n", {"train.steps: out of range (found -1"}},
      {"[optimizer]\nbeta1 = 1.5\n", {"optimizer.beta1: out of range", "0 to 0.999999"}},
      {"[optimizer]\nlearning_rate = true\n", {"optimizer.learning_rate: wrong type", "a number"}},
      {"[optimizer]\nlearning_rate = nan\n", {"optimizer.learning_rate: out of range"}},
      {"[optimizer]\nmoment_dtype = \"f8\"\n", {"optimizer.moment_dtype", "f32, bf16"}},
      {"[log]\ntensorboard = 1\n", {"log.tensorboard: wrong type", "true or false"}},
      {"[data]\npaths = [1]\n", {"data.paths: wrong type", "a list of strings"}},
      {"[train\n", {"run.toml: line 1", "not valid TOML"}},
      {"[model]\npreset = \"tiny\"\nhidden_sizes = 1\n",
       {"model.hidden_sizes", "did you mean model.hidden_size"}},
      {"[model]\npreset = \"tiny\"\nhidden_size = \"big\"\n", {"hidden_size"}},
      {"[train]\nsteps = 5\n", {"model.preset", "found none"}},
      {"[model]\npreset = \"tinny\"\n", {"tinny"}},
      {"[model]\npreset = \"tiny\"\n[train]\nseq_len = 100000\n", {"train.seq_len", "context"}},
      {"[model]\npreset = \"tiny\"\n[train]\nsteps = 5\n", {"data.paths"}},
      {"[model]\npreset = \"tiny\"\n[data]\npaths = \"x\"\n", {"out: the run needs a folder"}},
      {"[model]\npreset = \"tiny\"\n[data]\npaths = \"x\"\n[train]\nout = \"r\"\n",
       {"train.steps", "no end"}},
      {"[model]\npreset = \"tiny\"\n[data]\npaths = \"x\"\n[train]\nout = \"r\"\nsteps = 1\n"
       "[optimizer]\nconstant_until_tokens = 9\ndecay_until_tokens = 3\n",
       {"optimizer.decay_until_tokens", "9, 3, 0"}},
      {"[model]\npreset = \"tiny\"\n[data]\npaths = \"x\"\n[train]\nout = \"r\"\nsteps = 1\n"
       "batch_ramp_start_sequences = 4\n",
       {"train.batch_ramp_tokens"}},
  };
  for (const Case& each : cases) {
    const std::string text = error_of(each.toml);
    for (const char* word : each.words) {
      EXPECT_NE(text.find(word), std::string::npos) << each.toml << "\n-> " << text;
    }
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

// A file of somebody else's can hold anything; the error stays one line that fits a screen.
TEST_F(SettingsTest, ErrorsEchoLongAndBrokenTextBriefly) {
  const std::string endless(10000, 'a');
  const std::string lines = "\"a\\nb" + endless + "\"";
  for (const std::string& toml :
       {"[train]\n" + endless + " = 1\n", endless + " = 1\n", "[" + endless + "]\nb = 1\n",
        "[train]\nsteps = " + lines + "\n", "[optimizer]\nmoment_dtype = " + lines + "\n",
        "[log]\ntensorboard = [" + lines + "]\n", "[train]\n" + lines + " = 1\n",
        "[model]\npreset = \"tiny\"\n" + lines + " = 1\n",
        "[model]\npreset = \"tiny\"\nhidden_size = " + lines + "\n",
        "[model]\npreset = " + lines + "\n"}) {
    const std::string text = error_of(toml);
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    EXPECT_LT(text.size(), 600U) << text;
  }
  EXPECT_LT(error_of("", {endless}).size(), 600U);
  EXPECT_LT(error_of("", {"train." + endless + "=1"}).size(), 600U);
}

TEST_F(SettingsTest, CommandLineBeatsEnvironmentBeatsFile) {
  EXPECT_EQ(read(kGood).train.steps, 10);
  setenv("HADAL_TRAIN_STEPS", "20", 1);
  EXPECT_EQ(read(kGood).train.steps, 20);
  EXPECT_EQ(read(kGood).origins.at("train.steps"), "environment");
  EXPECT_EQ(read(kGood, {"train.steps=30"}).train.steps, 30);
  EXPECT_EQ(read(kGood, {"train.steps=30"}).origins.at("train.steps"), "{set}");
}

TEST_F(SettingsTest, AssignmentsAreTomlValuesOrBareWords) {
  const TrainConfig config = read(kGood, {"train.out=runs/a b", "data.paths=[\"p\", \"q\"]",
                                          "train.tokens=1e6", "model.n_routed_experts=8"});
  EXPECT_EQ(config.train.out, "runs/a b");
  EXPECT_EQ(config.data.paths, (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(config.train.tokens, 1000000);
  EXPECT_EQ(model_shape(config, 0).router.n_routed_experts, 8);
  EXPECT_NE(error_of(kGood, {"steps"}).find("not an assignment"), std::string::npos);
  EXPECT_NE(error_of(kGood, {"train.stepz=3"}).find("set: train.stepz"), std::string::npos);
}

TEST_F(SettingsTest, AWrongSettingIsNamedWithWhereItStands) {
  const Refusal wrong = test::refusal_of([&] { read("[train]\n\nsteps = -3\n"); });
  EXPECT_EQ(wrong.field, "train.steps");
  EXPECT_EQ(wrong.place, (folder_ / "run.toml") + ": line 3");
  EXPECT_EQ(wrong.found, "-3");
  EXPECT_EQ(wrong.expected.substr(0, 2), "0 ") << wrong.expected;
  const Refusal given = test::refusal_of([&] { read(kGood, {"train.steps=x"}); });
  EXPECT_EQ(given.field, "train.steps");
  EXPECT_EQ(given.place, "{set}");
  EXPECT_EQ(given.found, "string \"x\"");
  EXPECT_EQ(given.expected, "an integer");
}

TEST_F(SettingsTest, ResolvedConfigurationReadsBackTheSame) {
  const TrainConfig config =
      read(kGood, {"model.q_lora_rank=0", "optimizer.learning_rate=0.003", "data.paths=[\"/a\"]"});
  const std::string first = resolved_toml(config);
  const std::string second = resolved_toml(read(first));
  EXPECT_EQ(first, second);
  EXPECT_EQ(model_shape(read(first), 0), model_shape(config, 0));
  EXPECT_EQ(model_shape(config, 0).q_lora_rank, 0);
}

TEST_F(SettingsTest, VocabularyFitsTheTokenizer) {
  const TrainConfig config = read(kGood);
  EXPECT_EQ(model_shape(config, 512).vocab_size, 512);  // the preset's own
  EXPECT_EQ(model_shape(config, 700).vocab_size, 704);  // rounded up to a multiple of 64
  EXPECT_EQ(model_shape(config, 300).vocab_size, 320);
  const TrainConfig fixed = read(kGood, {"model.vocab_size=1000"});
  EXPECT_EQ(model_shape(fixed, 700).vocab_size, 1000);
  test::expect_refused<ConfigError>([&] { model_shape(fixed, 1001); },
                                    "model.vocab_size: smaller than the tokenizer");
}

TEST_F(SettingsTest, BoundariesDefaultToTheSharesOfV3) {
  const TrainConfig config = read(kGood);
  const LearningRateSchedule schedule = learning_rate_schedule(config, 14'800'000);
  EXPECT_NEAR(static_cast<double>(schedule.constant_until_tokens), 10e6, 1);
  EXPECT_NEAR(static_cast<double>(schedule.decay_until_tokens), 14.3e6, 1);
  EXPECT_NEAR(static_cast<double>(schedule.tail_until_tokens), 14.633e6, 1);
  EXPECT_DOUBLE_EQ(schedule.end, 2.2e-5);
}

}  // namespace
}  // namespace hadal
