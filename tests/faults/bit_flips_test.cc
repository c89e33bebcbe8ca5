// Single bits that flip on the disk. Where a file has a checksum, every flip is named. Weights of a
// Hugging Face folder have none, and neither has its config.json; of prepared data, manifest.json,
// tokenizer_config.json and validation.jsonl have none: there a flip is refused or changes what it
// says and nothing else.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"
#include "hadal/data/prepared_folder.h"
#include "hadal/io/manifest.h"
#include "hadal/model/convert.h"
#include "tests/faults/small_disk.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;

struct Flip {
  size_t byte;
  int bit;
};

// Every byte of a header or a small file (a bit of each, another in turn), `n` places in the rest.
std::vector<Flip> flips_of(const std::string& bytes, size_t n) {
  std::vector<Flip> flips;
  Rng rng(bytes.size());
  const size_t dense = std::min<size_t>(bytes.size(), 256);
  for (size_t i = 0; i < dense; ++i) flips.push_back({i, static_cast<int>(i % 8)});
  for (size_t i = 0; i < n && dense < bytes.size(); ++i) {
    flips.push_back({static_cast<size_t>(rng.uniform_below(bytes.size())),
                     static_cast<int>(rng.uniform_below(8))});
  }
  return flips;
}

// Calls check(file name) with each of the flips on the disk, for every file of a folder.
int64_t for_each_flip(const std::string& folder, size_t n,
                      const std::function<void(const std::string&)>& check) {
  int64_t n_flips = 0;
  for (const auto& [name, item] : read_tree(folder)) {
    if (item.kind != DiskItem::Kind::kFile) continue;
    const std::string path = folder + "/" + name;
    for (const auto& [byte, bit] : flips_of(*item.text, n)) {
      std::string bytes = *item.text;
      bytes[byte] = static_cast<char>(bytes[byte] ^ (1 << bit));
      fs::create_directories(fs::path(path).parent_path());
      std::FILE* file = std::fopen(path.c_str(), "wb");
      std::fwrite(bytes.data(), 1, bytes.size(), file);
      std::fclose(file);
      SCOPED_TRACE(concat(path, ": bit ", bit, " of byte ", byte));
      check(name);
      ++n_flips;
      if (::testing::Test::HasFailure()) return n_flips;
    }
    std::FILE* file = std::fopen(path.c_str(), "wb");
    std::fwrite(item.text->data(), 1, item.text->size(), file);
    std::fclose(file);
  }
  return n_flips;
}

std::string error_of(const std::function<void()>& run) {
  try {
    run();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(BitFlips, InACheckpointAreNamedAndTheOneBeforeIsFound) {
  const TemporaryFolder folder;
  folder.write("run/run.toml", "");
  SavedState saved;
  saved.save(folder / "run", 1);
  saved.save(folder / "run", 2);
  const std::string first = folder / ("run/checkpoints/" + checkpoint_name(1)),
                    second = folder / ("run/checkpoints/" + checkpoint_name(2));
  const DiskTree older = read_tree(first);
  const RunFolder run(folder / "run", true);
  const int64_t n = for_each_flip(second, 60, [&](const std::string& name) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(find_valid_checkpoint(run), first);
    const std::string said = testing::internal::GetCapturedStderr();
    // A flip in the manifest may make another file look wrong.
    EXPECT_NE(said.find(name == "manifest.json" ? second : "damaged (" + name), std::string::npos)
        << said;
    EXPECT_EQ(difference(older, read_tree(first)), "");
    EXPECT_EQ(difference(older, read_tree(run.latest())), "");
    const std::string aside = folder / ("run/checkpoints/damaged-" + checkpoint_name(2));
    if (fs::exists(aside)) fs::rename(aside, second);
  });
  expect_faults(n, 1000);
}

TEST(BitFlips, InTheOnlyCheckpointAreRefused) {
  const TemporaryFolder folder;
  folder.write("run/run.toml", "");
  SavedState saved;
  saved.save(folder / "run", 1);
  const std::string only = folder / ("run/checkpoints/" + checkpoint_name(1));
  const RunFolder run(folder / "run", true);
  const int64_t n = for_each_flip(only, 0, [&](const std::string& name) {
    const std::string said = error_of([&] { find_valid_checkpoint(run); });
    EXPECT_TRUE(said.starts_with(run.checkpoints())) << said;
    EXPECT_NE(said.find(name == "manifest.json" ? "step-00000001" : name), std::string::npos)
        << said;
  });
  EXPECT_TRUE(fs::exists(only));
  expect_faults(n, 500);
}

int64_t n_differing_values(DeepseekV3& a, DeepseekV3& b) {
  int64_t n = 0;
  const std::vector<NamedParam> left = named_params(a), right = named_params(b);
  for (size_t i = 0; i < left.size(); ++i) {
    const auto x = std::as_const(left[i].param->master).flat<float>(),
               y = std::as_const(right[i].param->master).flat<float>();
    for (size_t j = 0; j < x.size(); ++j) n += std::memcmp(&x[j], &y[j], sizeof(float)) != 0;
  }
  return n;
}

TEST(BitFlips, InAConvertedFolderAreRefusedOrChangeOneValue) {
  const TemporaryFolder folder;
  RandomModel random(smallest_shape(), 1);
  save_folder(folder / "source", random.model, {.dtype = SaveDType::kF32});
  const std::string out = folder / "out";
  convert_checkpoint(random.ctx, folder / "source", out,
                     {.forms = {.projections = WeightForm::kBF16}, .max_shard_bytes = 12000});
  DeepseekV3 right = load_folder(out, random.arena);
  int64_t n_named = 0;
  const int64_t n = for_each_flip(out, 60, [&](const std::string& name) {
    Arena arena;
    const std::string said = error_of([&] {
      DeepseekV3 model = load_folder(out, arena);
      if (!name.ends_with(".json")) {
        EXPECT_LE(n_differing_values(model, right), 1);
      }
    });
    n_named += !said.empty();
    EXPECT_TRUE(said.empty() || said.find(out) != std::string::npos) << said;
  });
  expect_faults(n, 400);
  EXPECT_GE(n_named, 200);
}

TEST(BitFlips, InPreparedDataAreNamedOrHarmless) {
  const TemporaryFolder folder;
  const DataConfig config = small_data(folder, 60);
  ThreadPool pool(1);
  const std::string entry = prepare_data(config, pool).folder;
  const PreparedData right = open_prepared_folder(entry, 0);
  const int64_t n = for_each_flip(entry, 20, [&](const std::string& name) {
    const std::string said = error_of([&] { open_prepared_folder(entry, 0); });
    EXPECT_TRUE(said.empty() || said.find(entry) != std::string::npos) << said;
    // Rows and the tokenizer that made them have checksums.
    const bool has_checksum = name.ends_with(".tokens") || name == "tokenizer/tokenizer.json";
    EXPECT_TRUE(!has_checksum || !said.empty());
  });
  expect_faults(n, 500);
}

}  // namespace
}  // namespace hadal::test
