// Converting a model into a new, an empty and a used folder.
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/model/convert.h"
#include "tests/faults/small_disk.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;

class ConvertFaults : public ::testing::Test {
 protected:
  ConvertFaults() {
    write_source("source", 1);
    write_source("older", 2);
    source_ = read_tree(folder_ / "source");
    convert_.root = folder_.path();
    convert_.run = [this] { convert("source", "out", WeightForm::kQ8); };
    convert_.result = [this] { return read_tree(folder_.path()); };
    convert_.check = [this](bool succeeded) { check(succeeded); };
    convert("source", "whole", WeightForm::kQ8);
    new_ = read_tree(folder_ / "whole");
    fs::remove_all(folder_ / "whole");
  }

  void write_source(const std::string& name, uint64_t seed) {
    RandomModel random(smallest_shape(), seed);
    save_folder(folder_ / name, random.model, {.dtype = SaveDType::kF32});
    folder_.write(name + "/tokenizer.json", concat("{\"of\": ", seed, "}"));
    folder_.write(name + "/generation_config.json", concat("{\"bos_token_id\": ", seed, "}"));
  }
  void convert(const std::string& from, const std::string& to, WeightForm dtype) {
    ThreadPool pool(1);
    Arena arena;
    Context ctx{pool, arena};
    convert_checkpoint(ctx, folder_ / from, folder_ / to,
                       {.forms = {.projections = dtype}, .overwrite = true, .max_shard_bytes = 12000});
  }
  bool loads() {
    return outcome_of([&] {
             Arena arena;
             load_folder(folder_ / "out", arena);
           }) == "";
  }
  // Either no model, or the old one, or the new one; in a new folder nothing at all, or the new one.
  void check(bool succeeded) {
    EXPECT_EQ(difference(source_, read_tree(folder_ / "source")), "");
    const bool there = fs::exists(folder_ / "out");
    DiskTree out = there ? read_tree(folder_ / "out") : DiskTree();
    for (const auto& [name, item] : foreign_) {
      EXPECT_TRUE(out.contains(name) && *out[name].text == *item.text) << name;
      out.erase(name);
    }
    std::erase_if(out,
                  [](const auto& item) { return item.first.find(".tmp-") != std::string::npos; });
    const std::string other = difference(new_, out);
    if (succeeded) {
      EXPECT_EQ(other, "");
    } else if (old_.empty() && is_new_) {
      EXPECT_TRUE(!there || other.empty()) << "a part of it is there:" << other;
    } else if (!other.empty() && !same_tree(old_, out)) {
      EXPECT_FALSE(loads()) << "a mixture loads:" << other;
    }
  }
  int64_t drive(const std::string& name) {
    convert_.name = name;
    int64_t n = 0;
    for (const int flavour : {0, 1, 2, 3})
      n += drive_failures(convert_, flavour, false, flavour == 0 ? 2 : 7).n_faults;
    n += drive_failures(convert_, 1, true, 3).n_faults;
    return n;
  }
  int64_t cut(const std::string& name) {
    convert_.name = name;
    const Operation noted{convert_.name,
                          convert_.root,
                          [this] {
                            convert_.run();
                            FaultDisk::note("done");
                          },
                          {},
                          {}};
    return drive_power_cuts(noted, [&](const std::vector<std::string>& notes) {
      check(!notes.empty());
      // What a cut left is in the way of nothing.
      EXPECT_EQ(outcome_of(convert_.run), "");
      check(true);
      EXPECT_EQ(temporaries_in(folder_.path()), std::vector<std::string>{});
    });
  }
  void use_old_folder() {
    is_new_ = false;
    convert("older", "out", WeightForm::kQ8);
    old_ = read_tree(folder_ / "out");
    folder_.write("out/notes.txt", "mine");
    foreign_ = {{"notes.txt", {DiskItem::Kind::kFile, std::make_shared<std::string>("mine")}}};
  }

  TemporaryFolder folder_;
  Operation convert_;
  bool is_new_ = true;
  DiskTree source_, old_, new_, foreign_;
};

TEST_F(ConvertFaults, EveryCallFailsIntoANewFolder) {
  const int64_t n = drive("convert into a new folder");
  expect_faults(n, 200);
}

TEST_F(ConvertFaults, EveryCallFailsIntoAnEmptyFolder) {
  fs::create_directory(folder_ / "out");
  is_new_ = false;
  convert_.check = [this](bool succeeded) {
    check(succeeded);
    EXPECT_TRUE(succeeded || loads() || read_tree(folder_ / "out").empty());
  };
  const int64_t n = drive_failures({"convert into an empty folder", convert_.root, convert_.run,
                                    convert_.check, convert_.result},
                                   0, false, 2)
                        .n_faults;
  expect_faults(n, 50);
}

TEST_F(ConvertFaults, EveryCallFailsIntoAUsedFolder) {
  use_old_folder();
  const int64_t n = drive("convert into a used folder");
  expect_faults(n, 200);
}

TEST_F(ConvertFaults, ThePowerFailsIntoANewFolder) {
  const int64_t n = cut("convert into a new folder");
  expect_faults(n, 60);
}

TEST_F(ConvertFaults, ThePowerFailsIntoAUsedFolder) {
  use_old_folder();
  const int64_t n = cut("convert into a used folder");
  expect_faults(n, 100);
}

TEST_F(ConvertFaults, NothingIsUnsyncedWhenItReturns) {
  convert_.run();
  fs::remove_all(folder_ / "out");
  EXPECT_EQ(unsynced_after(convert_), std::vector<std::string>{});
  use_old_folder();
  EXPECT_EQ(unsynced_after(convert_), std::vector<std::string>{});
}

}  // namespace
}  // namespace hadal::test
