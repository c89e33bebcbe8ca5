// FP8 checkpoints loaded as they are stored: codes and scales stay in the mapped file, and nothing
// that is computed or written from them differs from the F32 load.
#include <gtest/gtest.h>

#include "hadal/model/dump.h"
#include "tests/support/golden_case.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

class Fp8AsStored : public ::testing::Test {
 protected:
  DeepseekV3 load(const GoldenCase& golden, LoadAs as) {
    return load_model(ctx_, golden.checkpoints.front(), {.dtype = as});
  }
  ThreadPool pool_{2};
  Arena arena_;
  Context ctx_{pool_, arena_};
  std::vector<GoldenCase> cases_ = golden_cases(&GoldenCase::is_fp8);
};

TEST_F(Fp8AsStored, CodesStayInTheFile) {
  for (const GoldenCase& golden : cases_) {
    SCOPED_TRACE(golden.folder);
    const int64_t before = arena_.bytes_in_use();
    const DeepseekV3 shapes = make_model(load_config(golden.checkpoints.front()), arena_);
    const int64_t rotary_table = arena_.bytes_in_use() - before;
    DeepseekV3 model = load(golden, LoadAs::kAsStored);
    const int64_t loaded = arena_.bytes_in_use() - before - rotary_table;
    int64_t vectors = 0, n_codes = 0;
    for (const NamedParam& each : named_params(model)) {
      const Param& param = *each.param;
      EXPECT_TRUE(param.has_values()) << each.name;
      if (each.kind != ParamKind::kMatrix) {
        EXPECT_TRUE(param.master.has_data()) << each.name;
        EXPECT_EQ(param.master.dtype(), DType::kF32) << each.name;
        vectors += 256 + param.master.bytes();  // blocks have a least size
        continue;
      }
      EXPECT_FALSE(param.master.has_data()) << each.name << ": an F32 copy";
      if (const auto* codes = std::get_if<Quantized>(&param.working)) {
        EXPECT_EQ(codes->codes.dtype(), DType::kF8E4M3);
        EXPECT_EQ(codes->tiling, kWeightBlocks);
        EXPECT_EQ(param.weight().form, WeightForm::kFp8);
        ++n_codes;
      } else {
        EXPECT_EQ(param.weight().form, WeightForm::kBF16) << each.name;
      }
    }
    EXPECT_GE(n_codes, 26);
    EXPECT_LE(loaded, rotary_table + vectors);
  }
}

TEST_F(Fp8AsStored, SavesWhatTheF32LoadSaves) {
  for (const GoldenCase& golden : cases_) {
    SCOPED_TRACE(golden.folder);
    const TemporaryFolder folder;
    DeepseekV3 stored = load(golden, LoadAs::kAsStored), f32 = load(golden, LoadAs::kF32);
    for (const SaveDType dtype : {SaveDType::kF32, SaveDType::kBF16, SaveDType::kFP8}) {
      save_model(ctx_, folder / "stored", stored, {.dtype = dtype});
      save_model(ctx_, folder / "f32", f32, {.dtype = dtype});
      for (const char* file : {"/model.safetensors", "/config.json"}) {
        EXPECT_EQ(read_bytes(folder / "stored" + file), read_bytes(folder / "f32" + file)) << file;
      }
    }
  }
}

// On the reference bit for bit; on the CPU scales are multiplied into the input (ops/gemm.h), which
// rounds elsewhere, so as close as golden values are held.
TEST_F(Fp8AsStored, RunsAsTheF32Load) {
  for (const GoldenCase& golden : cases_) {
    SCOPED_TRACE(golden.folder);
    DeepseekV3 stored = load(golden, LoadAs::kAsStored), f32 = load(golden, LoadAs::kF32);
    const DumpParts all{true, true, true, true};
    for (const Device device : {Device::kReference, Device::kCpu}) {
      ctx_.device = device;
      const auto got = dump_inference(ctx_, stored, golden.sequences(), all);
      const auto want = dump_inference(ctx_, f32, golden.sequences(), all);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_EQ(got[i].name, want[i].name);
        expect_golden(got[i].tensor, want[i].tensor, device == Device::kCpu ? 1e-5 : 0.0,
                      want[i].name);
      }
    }
  }
}

}  // namespace
}  // namespace hadal::test
