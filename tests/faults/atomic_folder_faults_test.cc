// A folder in place of another, where the file system can exchange the two and where it cannot.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "hadal/io/atomic_folder.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"
#include "tests/faults/small_disk.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;

DiskTree whole(const std::string& text) {
  const auto bytes = std::make_shared<std::string>(text);
  return {{"a", {DiskItem::Kind::kFile, bytes}},
          {"sub", {DiskItem::Kind::kFolder, std::make_shared<std::string>()}},
          {"sub/b", {DiskItem::Kind::kFile, bytes}}};
}

class AtomicFolderFaults : public ::testing::TestWithParam<bool> {
 protected:
  AtomicFolderFaults() {
    FaultDisk::without_exchange(!GetParam());
    fs::create_directory(folder_ / "out");
    write_tree(folder_ / "out", whole("old"));
    replace_.name = "replace a folder";
    replace_.root = folder_.path();
    replace_.run = [this] {
      AtomicFolder out(folder_ / "out");
      write_file_atomically(out.temporary() + "/a", "new");
      // Only commit() brings this name to the disk.
      const std::string sub = out.temporary() + "/sub";
      if (::mkdir(sub.c_str(), 0777) != 0) refuse_io(sub, "folder cannot be created", errno);
      write_file_atomically(out.temporary() + "/sub/b", "new");
      out.commit();
      FaultDisk::note("done");
    };
    replace_.result = [this] { return read_tree(folder_.path()); };
    replace_.check = [this](bool succeeded) { check(succeeded); };
  }
  ~AtomicFolderFaults() override { FaultDisk::without_exchange(false); }

  // Old or new, whole. Without an exchange there is a moment with neither: the old one waits beside.
  void check(bool succeeded) {
    const bool there = fs::exists(folder_ / "out");
    EXPECT_TRUE(there || (!GetParam() && !succeeded));
    const std::string name = there ? "out" : "out.partial-replaced";
    const DiskTree found = read_tree(folder_ / name);
    EXPECT_TRUE(same_tree(found, whole("new")) || (!succeeded && same_tree(found, whole("old"))));
  }

  TemporaryFolder folder_;
  Operation replace_;
};

TEST_P(AtomicFolderFaults, EveryCallFails) {
  int64_t n = drive_failures(replace_, 0, false).n_faults;
  n += drive_failures(replace_, 1, false, 2).n_faults;
  n += drive_failures(replace_, 1, true).n_faults;
  expect_faults(n, 60);
}

TEST_P(AtomicFolderFaults, ThePowerFailsAtAnyMoment) {
  const int64_t n = drive_power_cuts(replace_, [&](const auto& notes) { check(!notes.empty()); });
  expect_faults(n, 20);
}

TEST_P(AtomicFolderFaults, NothingIsUnsyncedWhenItIsThere) {
  EXPECT_EQ(unsynced_after(replace_), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(WithExchange, AtomicFolderFaults, ::testing::Bool());

}  // namespace
}  // namespace hadal::test
