// io/model_files: what people give for a model is what it is, or is named.
#include "hadal/io/model_files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/io/safetensors.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

TEST(ModelFolderTest, ARunStandsForItsNewestCheckpoint) {
  const TemporaryFolder folder;
  folder.write("run/checkpoints/step-00000008/config.json", "{}");
  folder.write("run/run.toml", "");
  EXPECT_NE(error_of<FormatError>([&] {
              model_folder(folder / "run");
            }).find("a run without a checkpoint"),
            std::string::npos);
  std::filesystem::create_directory_symlink("checkpoints/step-00000008", folder / "run/latest");
  EXPECT_EQ(model_folder(folder / "run"), folder / "run/latest");
  for (const char* same : {"run/latest", "run/run.toml", "absent"}) {
    EXPECT_EQ(model_folder(folder / same), folder / same);
  }
  folder.write("run/config.json", "{}");  // a model that has a folder of that name
  EXPECT_EQ(model_folder(folder / "run"), folder / "run");
}

// The layout that huggingface_hub writes: files are links into blobs/.
TEST(ModelFolderTest, OrgAndNameAreLookedUpInTheHuggingFaceCache) {
  const TemporaryFolder cache;
  const std::string model = "models--some-org--Tiny.Model-1";
  cache.write(model + "/blobs/0123", "{}");
  cache.write(model + "/refs/main", "abc\n");
  cache.write("models--some-org--Half/refs/main", "abc");
  cache.write("models--some-org--None/blobs/0123", "{}");
  std::filesystem::create_directories(cache / (model + "/snapshots/abc"));
  std::filesystem::create_symlink("../../blobs/0123",
                                  cache / (model + "/snapshots/abc/config.json"));
  setenv("HF_HUB_CACHE", cache.path().c_str(), 1);
  EXPECT_EQ(model_folder("some-org/Tiny.Model-1"), cache / (model + "/snapshots/abc"));
  for (const char* same : {"some-org/Other", "some-org", "some-org/Tiny.Model-1/more", "../Tiny",
                           "/some-org/Tiny.Model-1", "some-org/"}) {
    EXPECT_EQ(model_folder(same), same);
  }
  const std::string half = error_of<FormatError>([] { model_folder("some-org/Half"); });
  EXPECT_NE(half.find("expected snapshots/abc"), std::string::npos) << half;
  EXPECT_NE(half.find("hf download some-org/Half"), std::string::npos) << half;
  const std::string none = error_of<FormatError>([] { model_folder("some-org/None"); });
  EXPECT_NE(none.find("without refs/main"), std::string::npos) << none;
  unsetenv("HF_HUB_CACHE");
  setenv("HF_HOME", cache.path().c_str(), 1);
  EXPECT_EQ(model_folder("some-org/Tiny.Model-1"), "some-org/Tiny.Model-1");  // under hub/ there
  unsetenv("HF_HOME");
}

TEST(ForeignFormatTest, IsNamedInPlaceOfSafetensors) {
  const TemporaryFolder folder;
  const std::pair<std::string_view, const char*> files[] = {
      {std::string_view("GGUF\3\0\0\0", 8), "GGUF, not safetensors; hadal reads"},
      {"GGUF", "GGUF, not safetensors"},
      {std::string_view("PK\3\4\0\0\10\10\0\0\0\0", 12), "zip archive, as PyTorch writes"},
      {"\x80\x02\x8a\nl\xfc\x9c\x46\xf9 ", "pickle, as PyTorch writes"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"},
      {"<!DOCTYPE html><html>", "a web page"}};
  for (const auto& [bytes, expected] : files) {
    const std::string file = folder.write("model.safetensors", bytes);
    for (const std::string& path : {file, folder.path()}) {
      const std::string message = error_of<FormatError>([&] { TensorSource::open(path); });
      EXPECT_NE(message.find(expected), std::string::npos) << message;
      EXPECT_EQ(message.find(file), 0U) << message;
    }
  }
}

TEST(UnreadWeightsTest, AreNamedWithTheWayOut) {
  const TemporaryFolder folder;
  folder.write("config.json", "{}");
  folder.write("training_args.bin", "");
  EXPECT_EQ(unread_weights(folder.path()).found, "");
  const std::string none = error_of<FormatError>([&] { TensorSource::open(folder.path()); });
  EXPECT_NE(none.find("no weights in this folder"), std::string::npos) << none;
  folder.write("pytorch_model-00002-of-00002.bin", "");
  folder.write("pytorch_model-00001-of-00002.bin", "");
  const std::string message = error_of<FormatError>([&] { TensorSource::open(folder.path()); });
  EXPECT_NE(message.find("found pytorch_model-00001-of-00002.bin and 1 more, expected "
                         "model.safetensors"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("save_pretrained"), std::string::npos) << message;
  folder.write("model-00001-of-00002.safetensors", "");
  EXPECT_NE(unread_weights(folder.path()).advice.find("index"), std::string::npos);
}

}  // namespace
}  // namespace hadal::test
