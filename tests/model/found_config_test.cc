// model/found_config: a config.json and weights that contradict each other. What is stored is used,
// kept by convert, and said once.
#include "hadal/model/found_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "hadal/core/error.h"
#include "hadal/model/convert.h"
#include "hadal/model/inspect.h"
#include "hadal/model/stored_weight.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

class ContradictionTest : public ::testing::Test {
 protected:
  void start_from(const std::string& name) {
    copy_files(std::string(HADAL_GOLDEN_DIR) + "/" + name, folder_.path());
    const TensorSource source = TensorSource::open(folder_.path());
    for (const auto& [tensor, entry] : source.entries()) {
      tensors_[tensor] = source.tensor(entry).clone(arena_);
    }
  }
  void write() const {
    std::vector<std::pair<std::string, const Tensor*>> list;
    for (const auto& [name, tensor] : tensors_) list.emplace_back(name, &tensor);
    write_safetensors(folder_ / "model.safetensors", list);
  }
  // A copy of `of` under `name`, with another number in the middle if `other`.
  void add_copy(const std::string& name, const std::string& of, bool other) {
    Tensor copy = tensors_.at(of).clone(arena_);
    if (other) copy.flat<bf16>()[static_cast<size_t>(copy.size()) / 2] = to_bf16(3.0F);
    tensors_[name] = std::move(copy);
  }
  void set_config(const char* key, const Json& value) const {
    Json config = parse_json_file(folder_ / "config.json");
    config[key] = value;
    folder_.write("config.json", config.dump());
  }
  // What load_model says on stderr.
  std::string load(const std::string& folder) {
    CaptureStderr();
    model_ = load_folder(folder, arena_);
    return GetCapturedStderr();
  }
  std::string convert(const std::string& target, WeightForm dtype) {
    CaptureStderr();
    convert_checkpoint(ctx_, folder_.path(), folder_ / target, {.forms = {.projections = dtype}});
    return GetCapturedStderr();
  }
  Json inspect(const std::string& folder, bool verify) {
    CaptureStderr();
    try {
      Json document = inspect_path(ctx_, folder, kind_of(folder), verify);
      GetCapturedStderr();
      return document;
    } catch (...) {
      GetCapturedStderr();
      throw;
    }
  }
  static int64_t lines(const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  }
  ThreadPool pool_{1};
  Arena arena_;
  Context ctx_{pool_, arena_};
  TemporaryFolder folder_;
  std::map<std::string, Tensor> tensors_;
  DeepseekV3 model_;
};

constexpr const char* kHead = "lm_head.weight";
constexpr const char* kEmbedding = "model.embed_tokens.weight";

TEST_F(ContradictionTest, ATiedHeadThatIsAnotherTableIsUsedAndKept) {
  start_from("f_tied");
  add_copy(kHead, kEmbedding, true);
  write();
  EXPECT_EQ(lines(load(folder_.path())), 1) << "not once more for the MTP module's copy";
  add_copy("model.layers.2.shared_head.head.weight", kHead, false);
  write();
  const std::string note = load(folder_.path());
  EXPECT_EQ(lines(note), 1) << note;
  EXPECT_NE(note.find("the stored head is used"), std::string::npos) << note;
  ASSERT_FALSE(model_.config.tie_word_embeddings);
  EXPECT_EQ(model_.head.master.flat<float>()[static_cast<size_t>(model_.head.master.size()) / 2],
            3.0F);

  EXPECT_EQ(lines(convert("out", WeightForm::kBF16)), 1);
  EXPECT_EQ(load(folder_ / "out"), "") << "config.json is corrected";
  const TensorSource out = TensorSource::open(folder_ / "out");
  ASSERT_NE(out.find(kHead), nullptr);
  const Tensor kept = out.tensor(*out.find(kHead));
  const Tensor& given = tensors_.at(kHead);
  EXPECT_EQ(std::memcmp(kept.raw(), given.raw(), static_cast<size_t>(given.bytes())), 0);
  expect_refused<FormatError>([&] { inspect(folder_.path(), true); },
                              folder_.path() + ": config.json ties the head to the embedding");
  EXPECT_FALSE(inspect(folder_.path(), false).at("config").at("tie_word_embeddings").as_bool());
  EXPECT_NO_THROW(inspect(folder_ / "out", true));
}

// The same numbers, in the same type or another: nothing to say, nothing more to keep.
TEST_F(ContradictionTest, ATiedHeadThatIsACopyIsNone) {
  start_from("f_tied");
  for (const bool wide : {false, true}) {
    add_copy(kHead, kEmbedding, false);
    if (wide) tensors_[kHead] = widened(ctx_, tensors_.at(kHead)).clone(arena_);
    write();
    EXPECT_EQ(load(folder_.path()), "");
    EXPECT_TRUE(model_.config.tie_word_embeddings);
    EXPECT_NO_THROW(inspect(folder_.path(), true));
  }
  tensors_[kHead].flat<float>()[7] += 1.0F;
  write();
  EXPECT_EQ(lines(load(folder_.path())), 1);
}

TEST_F(ContradictionTest, TablesOfAnMtpModuleThatAreNoCopies) {
  start_from("a_yarn_mtp");
  const std::string copy = "model.layers.3.shared_head.head.weight";
  add_copy(copy, kHead, false);
  write();
  EXPECT_EQ(load(folder_.path()), "");
  EXPECT_NO_THROW(inspect(folder_.path(), true));
  add_copy(copy, kHead, true);  // in the middle alone: --verify reads everything
  write();
  expect_refused<FormatError>(
      [&] { inspect(folder_.path(), true); },
      folder_.path() + ": an MTP module shares its tables, and one is no copy (found \"" + copy);
  tensors_[copy].flat<bf16>()[0] = to_bf16(3.0F);
  write();
  const std::string note = load(folder_.path());
  EXPECT_EQ(lines(note), 1) << note;
  EXPECT_NE(note.find(copy), std::string::npos) << note;
  EXPECT_EQ(lines(convert("out", WeightForm::kBF16)), 1);
  EXPECT_NE(TensorSource::open(folder_ / "out").find(copy), nullptr) << "kept as it is";
}

TEST_F(ContradictionTest, WithoutItsMtpTensorsTheMainModelRuns) {
  start_from("a_yarn_mtp");
  DeepseekV3 main = load_folder(folder_.path(), arena_, {.with_mtp = false});
  std::erase_if(tensors_,
                [](const auto& entry) { return entry.first.starts_with("model.layers.3."); });
  write();
  const std::string note = load(folder_.path());
  EXPECT_EQ(lines(note), 1) << note;
  EXPECT_NE(note.find("the weights lack MTP modules of config.json (found 0, expected 1); the main "
                      "model runs"),
            std::string::npos)
      << note;
  EXPECT_EQ(model_.config, main.config);
  EXPECT_EQ(lines(convert("out", WeightForm::kF32)), 1);
  EXPECT_EQ(load(folder_ / "out"), "") << "config.json is corrected";
  EXPECT_EQ(inspect(folder_ / "out", true).at("parameters_mtp").as_integer(), 0);

  tensors_["model.layers.3.enorm.weight"] = tensors_.at("model.norm.weight").clone(arena_);
  write();
  expect_refused<FormatError>([&] { load(folder_.path()); },  // a part of a module is damage
                              folder_.path() + ": too few tensors for its config.json");
  GetCapturedStderr();
}

TEST_F(ContradictionTest, MtpTensorsThatTheConfigDoesNotCount) {
  start_from("a_yarn_mtp");
  set_config("num_nextn_predict_layers", 0);
  const std::string note = load(folder_.path());
  EXPECT_EQ(lines(note), 1) << note;
  EXPECT_NE(note.find("found 4 layers, expected 3"), std::string::npos) << note;
}

TEST_F(ContradictionTest, FusedExpertsAreNamedWithTheWayOut) {
  start_from("a_yarn_mtp");
  std::erase_if(tensors_, [](const auto& entry) {
    return entry.first.find(".mlp.experts.") != std::string::npos;
  });
  tensors_["model.layers.1.mlp.experts.gate_up_proj"] =
      Tensor::zeros(arena_, DType::kBF16, {8, 24, 64});
  tensors_["model.layers.1.mlp.experts.down_proj"] =
      Tensor::zeros(arena_, DType::kBF16, {8, 64, 12});
  write();
  try {
    load_folder(folder_.path(), arena_);
    FAIL();
  } catch (const FormatError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("found \"model.layers.1.mlp.experts.down_proj\", expected "
                        "\"model.layers.1.mlp.experts.0.down_proj.weight\""),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("save_pretrained"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace hadal::test
