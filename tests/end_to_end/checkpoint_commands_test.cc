// `hadal inspect`, `convert` and `presets` as a user or script meets them.
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/io/safetensors.h"
#include "tests/support/golden_case.h"
#include "tests/support/run_hadal.h"
#include "tests/support/small_run.h"
#include "tests/support/sparse_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

using hadal::testing::expect_refused;
using hadal::testing::run_hadal;
using hadal::testing::RunResult;

TEST(PresetsCommandTest, ListsNamesAndCounts) {
  const RunResult result = run_hadal({"presets", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json document = parse_json(result.out, "stdout");
  bool found = false;
  for (const Json& preset : document.at("presets").as_array()) {
    if (preset.at("name").as_string() != "deepseek-v3") continue;
    found = true;
    EXPECT_EQ(preset.at("parameters_total").as_integer(), 671'026'419'200);
    EXPECT_EQ(preset.at("parameters_active").as_integer(), 37'552'297'472);
  }
  EXPECT_TRUE(found);
  EXPECT_NE(run_hadal({"presets"}).out.find("kimi-k2"), std::string::npos);
}

TEST(InspectCommandTest, DescribesACheckpointForPeopleAndPrograms) {
  const RunResult json =
      run_hadal({"inspect", golden_folder("c2_fp8_ue8m0"), "--verify", "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const Json document = parse_json(json.out, "stdout");
  for (const char* key : {"kind", "architecture", "parameters_total", "parameters_active", "bytes",
                          "tensors", "config"}) {
    EXPECT_TRUE(document.find(key) && !document.at(key).is_null()) << key;
  }
  EXPECT_EQ(document.at("files").as_integer(), 3);
  const RunResult text = run_hadal({"inspect", golden_folder("c2_fp8_ue8m0")});
  EXPECT_NE(text.out.find("model.layers.*.mlp.experts.*.down_proj.weight"), std::string::npos);
  EXPECT_NE(text.out.find("F8_E4M3"), std::string::npos);
}

// What every token reads stays in 8 bits unless it is told otherwise.
TEST(ConvertCommandTest, FourBitsAreOfTheRoutedExperts) {
  const TemporaryFolder folder;
  const auto dtypes = [&](const std::string& name, std::vector<std::string> mix) {
    std::vector<std::string> arguments = {
        "convert", golden_folder("a_yarn_mtp"), folder / name, "--dtype", "q4", "--json"};
    for (const std::string& one : mix) arguments.insert(arguments.end(), {"--mix", one});
    const RunResult result = run_hadal(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const TensorSource source = TensorSource::open(folder / name);
    std::string found;
    for (const char* tensor :
         {"layers.1.self_attn.o_proj", "layers.0.mlp.up_proj",
          "layers.1.mlp.shared_experts.up_proj", "layers.1.mlp.experts.0.up_proj"}) {
      found += dtype_name(source.find(concat("model.", tensor, ".weight"))->info->dtype);
      found += ' ';
    }
    return found + parse_json(result.out, "stdout").at("mix").dump();
  };
  EXPECT_EQ(dtypes("usual", {}), "I8 I8 I8 U8 [\"attention=q8\",\"dense=q8\",\"shared=q8\"]");
  EXPECT_EQ(dtypes("uniform", {"all=q4"}), "U8 U8 U8 U8 []");
  EXPECT_EQ(dtypes("one", {"dense=q4"}),
            "I8 U8 I8 U8 [\"attention=q8\",\"dense=q4\",\"shared=q8\"]");
  EXPECT_EQ(dtypes("later", {"head=q8", "shared=q4", "all=q4", "attention=q8"}),
            "I8 U8 U8 U8 [\"attention=q8\",\"head=q8\"]");
  expect_refused(
      {{{"convert", golden_folder("a_yarn_mtp"), folder / "x", "--dtype", "q4", "--mix", "some=q4"},
        "--mix: not a class and its precision"}});
}

// Terabytes that the system would end the process for: one line before any is read or made.
TEST(BenchCommandTest, F32WeightsThatDoNotFitAreRefused) {
  const TemporaryFolder folder;
  const std::string model = folder / "v3";
  write_sparse_checkpoint(model, find_preset("deepseek-v3").config, WeightForm::kFp8, 163);
  const hadal::testing::Refused widened = {
      {"bench", "decode", "--model", model, "--dtype", "f32"},
      model + ": weights widened to F32 do not fit into memory",
      "(bench and dump: --dtype native)",
      1};
  const hadal::testing::Refused random = {{"bench", "decode", "--preset", "deepseek-v3"},
                                          "deepseek-v3: random F32 weights do not fit into memory",
                                          "a smaller preset",
                                          1};
  expect_refused({widened, random});
}

TEST(ConvertCommandTest, WritesACheckpointThatIsFoundValid) {
  const TemporaryFolder folder;
  const RunResult convert =
      run_hadal({"convert", golden_folder("a_yarn_mtp"), folder / "q8", "--dtype", "q8", "--json"});
  ASSERT_EQ(convert.exit_code, 0) << convert.err;
  const Json document = parse_json(convert.out, "stdout");
  EXPECT_GT(document.at("bytes_in").as_integer(), document.at("bytes_out").as_integer());
  EXPECT_GE(document.at("seconds").as_number(), 0.0);
  EXPECT_EQ(run_hadal({"inspect", folder / "q8", "--verify"}).exit_code, 0);
  // again: the destination exists
  expect_refused({{{"convert", golden_folder("a_yarn_mtp"), folder / "q8", "--dtype", "f32"},
                   folder / "q8: the destination is not empty"}});
  EXPECT_EQ(run_hadal({"convert", golden_folder("a_yarn_mtp"), folder / "q8", "--dtype", "f32",
                       "--force"})
                .exit_code,
            0);
}

TEST(ConvertCommandTest, AnUnwritableFolderIsAFailureOfTheWork) {
  expect_refused({{{"convert", golden_folder("b_moonlight"), "/proc/hadal", "--dtype", "f32"},
                   "/proc/hadal.unfinished: folder cannot be created",
                   "",
                   1}});
}

class HostileFileTest : public ::testing::Test {
 protected:
  void SetUp() override { copy_files(golden_folder("a_yarn_mtp"), folder_.path()); }
  TemporaryFolder folder_;
};

TEST_F(HostileFileTest, EachIsOneLineThatNamesTheFile) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})";
  std::string length(8, '\0');
  length[0] = static_cast<char>(header.size());
  expect_refused({
      {{"inspect", folder_.write("short.safetensors", length + header)},
       folder_ / "short.safetensors: tensor \"a\": data lies outside of the file"},
      {{"inspect", folder_.write("empty.safetensors", "")},
       folder_ / "empty.safetensors: too short for safetensors"},
      {{"inspect", folder_.write("huge.safetensors", std::string(8, '\x7F') + "{}")},
       folder_ / "huge.safetensors: safetensors header too long"},
      {{"inspect", folder_.write("binary.json", std::string("{\"a\0\xFF\":", 8))},
       folder_ / "binary.json: line 1, column 4: not valid JSON"},
      {{"inspect", folder_.write("list.json", "[]")},
       folder_ / "list.json: the configuration is no object"},
      {{"inspect", folder_ / "absent"}, folder_ / "absent: no such folder or file"},
      {{"inspect", "/dev/null"}, "/dev/null: not a regular file"},
      {{"convert", folder_ / "absent", folder_ / "out", "--dtype", "f32"},
       folder_ / "absent: not a folder"},
  });
}

TEST_F(HostileFileTest, AbsurdConfigurations) {
  const Json config = parse_json_file(folder_ / "config.json");
  for (const char* key : {"hidden_size", "n_routed_experts", "num_hidden_layers", "vocab_size"}) {
    for (const char* value : {"0", "-7", "1e18", "\"many\"", "1048576"}) {
      Json changed = config;
      changed[key] = parse_json(value, "");
      folder_.write("config.json", changed.dump());
      const bool too_large = std::string(value) == "1048576" && config.at(key).as_integer() > 16;
      const std::string tensor = "model.safetensors: tensor \"model.embed_tokens.weight\": wrong";
      expect_refused({{{"inspect", folder_.path()},
                       folder_ / (too_large ? tensor : concat("config.json: ", key, ": "))}});
    }
  }
}

// Every command that takes a model folder takes the folder of a run.
TEST(ModelFolderTest, ARunIsOneForEveryCommand) {
  const SmallRun small;
  small.train("run");
  const TemporaryFolder out;
  const std::string run = small.path("run");
  const std::string ids = out.write("ids.json", "[[1, 2, 3]]");
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"generate", "-m", run, "-p", "the", "-n", "2"},
           {"generate", "-m", run, "--prompt-tokens", ids, "-n", "2"},
           {"score", "-m", run, "--text", "the"},
           {"chat", "-m", run, "-n", "2"},
           {"inspect", run, "--verify"},
           {"convert", run, out / "f32", "--dtype", "f32"},
           {"dump", "--model", run, "--tokens", ids, "--what", "logits", "--out",
            out / "dump.safetensors"},
           {"plan", "--model", run},
           {"plan", "experts", "--model", run, "--zipf", "0.8", "--gpus", "4"},
           {"tokenizer", "encode", "-m", run, "--text", "the"},
           {"bench", "load", "--model", run, "--rounds", "1"},
       }) {
    const RunResult result = run_hadal(arguments, "hello\n");
    EXPECT_EQ(result.exit_code, 0) << arguments[0] << ": " << result.err;
  }
  EXPECT_EQ(run_hadal({"generate", "-m", run, "-p", "the", "-n", "4"}).out,
            run_hadal({"generate", "-m", run + "/latest", "-p", "the", "-n", "4"}).out);
  EXPECT_EQ(run_hadal({"inspect", out / "f32", "--verify"}).exit_code, 0);
  EXPECT_EQ(run_hadal({"tokenizer", "encode", "-m", out / "f32", "--text", "the"}).exit_code, 0);
}

TEST_F(HostileFileTest, APathThatEndsInAPresetsName) {
  for (const char* path : {"/no/such/small", "no/such/deepseek-v3", "runs/nano"}) {
    expect_refused({{{"plan", "--model", path}, concat(path, ": no such folder or file")},
                    {{"inspect", path}, concat(path, ": no such folder or file")}});
  }
}

TEST_F(HostileFileTest, WeightsOfAnotherFormat) {
  const std::string gguf = folder_.write("x.gguf", std::string_view("GGUF\3\0\0\0", 8));
  expect_refused(
      {{{"inspect", gguf}, folder_ / "x.gguf: GGUF, not safetensors", "GGUF, not "},
       {{"plan", "--model", gguf}, folder_ / "x.gguf: GGUF, not config.json", "GGUF, not "},
       {{"generate", "-m", gguf, "-p", "x"},
        folder_ / "x.gguf: GGUF, not a model folder",
        "GGUF, not "}});
  std::filesystem::remove(folder_ / "model.safetensors");
  std::filesystem::rename(gguf, folder_ / "pytorch_model.bin");
  expect_refused(
      {{{"inspect", folder_.path(), "--verify"}, folder_.path() + ": no weights that hadal reads"},
       {{"generate", "-m", folder_.path(), "--prompt-tokens", "x"},
        folder_.path() + ": no weights that hadal reads"}});
  std::filesystem::rename(folder_ / "pytorch_model.bin", folder_ / "other");
  // config.json alone: nothing was read
  expect_refused(
      {{{"inspect", folder_.path(), "--verify"}, folder_.path() + ": no weights to verify"}});
  std::filesystem::rename(folder_ / "other", folder_ / "pytorch_model.bin");
  const RunResult described = run_hadal({"inspect", folder_.path()});
  EXPECT_EQ(described.exit_code, 0) << "config.json is sound";
  EXPECT_NE(described.err.find("pytorch_model.bin"), std::string::npos) << described.err;
}

}  // namespace
}  // namespace hadal::test
