// Preparing data into the cache.
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/data/prepared_folder.h"
#include "tests/faults/small_disk.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;

class PackFaults : public ::testing::Test {
 protected:
  PackFaults() {
    text_ = read_tree(folder_ / "text");
    pack_.name = "pack";
    pack_.root = folder_.path();
    pack_.run = [this] {
      ThreadPool pool(1);
      prepare_data(config_, pool);
    };
    pack_.result = [this] { return without_times(read_tree(folder_.path())); };
    pack_.check = [this](bool succeeded) { check(succeeded); };
    pack_.run();
    whole_ = without_times(read_tree(folder_ / "cache"));
    fs::remove_all(folder_ / "cache");
  }

  // The entry is right, or none, or one that is seen to be wrong.
  void check(bool succeeded) {
    EXPECT_EQ(difference(text_, read_tree(folder_ / "text")), "");
    const std::string entry = whole_.begin()->first;
    const bool there = fs::exists(folder_ / ("cache/" + entry));
    EXPECT_TRUE(there || !succeeded);
    if (!there) return;
    DiskTree found = without_times(read_tree(folder_ / "cache"));
    std::erase_if(found, [&](const auto& item) {
      return !item.first.starts_with(entry) || item.first.find('.') == entry.size();
    });
    const std::string other = difference(whole_, found);
    EXPECT_TRUE(other.empty() || !succeeded) << other;
    if (!other.empty()) {
      EXPECT_NE(outcome_of([&] { open_prepared_folder(folder_ / ("cache/" + entry), 0); }), "")
          << other;
    }
  }
  int64_t drive() {
    int64_t n = 0;
    for (const int flavour : {0, 1, 2})
      n += drive_failures(pack_, flavour, false, flavour == 0 ? 1 : 9).n_faults;
    return n + drive_failures(pack_, 1, true, 6).n_faults;
  }

  TemporaryFolder folder_;
  const DataConfig config_ = small_data(folder_, 40);
  Operation pack_;
  DiskTree text_, whole_;
};

TEST_F(PackFaults, EveryCallFails) {
  const int64_t n = drive();
  expect_faults(n, 200);
}

// The entry is there and its shard is damaged: it is packed again in its place.
TEST_F(PackFaults, EveryCallFailsOverADamagedEntry) {
  pack_.run();
  const std::string shard = "cache/" + whole_.begin()->first + "/train-00000.tokens";
  std::string bytes = read_bytes(folder_ / shard);
  bytes[70] = static_cast<char>(bytes[70] ^ 4);
  folder_.write(shard, bytes);
  const int64_t n = drive_failures(pack_, 0, false, 3).n_faults;
  expect_faults(n, 60);
}

TEST_F(PackFaults, ThePowerFailsAtAnyMoment) {
  const Operation noted{"pack",
                        pack_.root,
                        [this] {
                          pack_.run();
                          FaultDisk::note("done");
                        },
                        {},
                        {}};
  const int64_t n = drive_power_cuts(noted, [&](const std::vector<std::string>& notes) {
    check(!notes.empty());
    EXPECT_EQ(outcome_of(pack_.run), "");
    check(true);
    EXPECT_EQ(temporaries_in(folder_.path()), std::vector<std::string>{});
  });
  expect_faults(n, 25);
}

TEST_F(PackFaults, NothingIsUnsyncedWhenItReturns) {
  EXPECT_EQ(unsynced_after(pack_), std::vector<std::string>{});
}

}  // namespace
}  // namespace hadal::test
