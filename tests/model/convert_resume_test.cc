// A conversion that was cut off goes on only from what was made of the same source.
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "hadal/core/interrupt.h"
#include "hadal/io/file_journal.h"
#include "hadal/io/path_status.h"
#include "hadal/model/convert.h"
#include "tests/support/golden_case.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;

class ConvertResumeTest : public ::testing::Test {
 protected:
  ConvertResumeTest() {
    for (const char* name : {"a", "b"}) {
      fs::create_directory(folder_ / name);
      copy_files(golden_folder("b_moonlight"), folder_ / name);
    }
    // Other weights of the same size and age.
    const std::string file = folder_ / "b/model.safetensors";
    std::string bytes = read_bytes(file);
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof(header));
    for (size_t at = 8 + header; at < bytes.size(); at += 2) bytes[at] ^= 1;
    folder_.write("b/model.safetensors", bytes);
    fs::last_write_time(file, fs::last_write_time(folder_ / "a/model.safetensors"));
  }
  void convert(const std::string& source, const std::string& target) {
    convert_checkpoint(ctx_, folder_ / source, folder_ / target,
                       {.forms = {.projections = WeightForm::kF32}, .max_shard_bytes = 100'000});
  }
  // What a conversion of "a" to "out" leaves that stops behind its first two shards.
  void begin_with_a() {
    convert("a", "whole");
    catch_interrupts();
    std::raise(SIGINT);
    EXPECT_THROW(convert("a", "out"), Interrupted);
    clear_interrupt();
    const std::string work = folder_ / "out.unfinished";
    const std::string text = read_bytes(work + "/" + FileJournal::name());
    FileJournal journal(work, text.substr(0, text.find('\n')));
    int n = 0;
    for (const std::string& name : entry_names(folder_ / "whole")) {
      if (!name.starts_with("model-") || ++n > 2) continue;
      fs::copy(folder_ / ("whole/" + name), work + "/" + name);
      journal.add(name);
    }
    ASSERT_GT(n, 2);
  }
  void expect_equal(const std::string& got, const std::string& want) {
    for (const std::string& name : entry_names(folder_ / want)) {
      EXPECT_EQ(read_bytes(folder_ / (got + "/" + name)), read_bytes(folder_ / (want + "/" + name)))
          << name;
    }
  }

  ThreadPool pool_{2};
  Arena arena_;
  Context ctx_{pool_, arena_};
  TemporaryFolder folder_;
};

TEST_F(ConvertResumeTest, TheSameSourceGoesOn) {
  begin_with_a();
  convert("a", "out");
  expect_equal("out", "whole");
}

TEST_F(ConvertResumeTest, AnotherSourceBeginsAfresh) {
  convert("b", "whole-b");
  begin_with_a();
  convert("b", "out");
  expect_equal("out", "whole-b");
}

TEST_F(ConvertResumeTest, ASourceThatWasWrittenAgainBeginsAfresh) {
  convert("b", "whole-b");
  begin_with_a();
  folder_.write("a/model.safetensors", read_bytes(folder_ / "b/model.safetensors"));
  convert("a", "out");
  expect_equal("out", "whole-b");
}

}  // namespace
}  // namespace hadal::test
