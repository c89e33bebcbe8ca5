// Blocks in a folder: what was saved comes back, damage does not, and the folder keeps its size.
#include "hadal/io/block_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

std::vector<std::byte> bytes_of(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}
BlockKey key_of(int i) { return chained_key({}, std::to_string(i)); }

class BlockStoreTest : public testing::Test {
 protected:
  void save(BlockStore& store, int i, const std::string& text) {
    const std::vector<std::byte> first = bytes_of(text.substr(0, text.size() / 2)),
                                 second = bytes_of(text.substr(text.size() / 2));
    const std::span<const std::byte> parts[] = {first, second};
    store.save(key_of(i), "label", parts);
  }
  std::string path(int i) const { return folder_.path() + "/" + key_of(i).hex() + ".block"; }
  // Last used so many seconds ago.
  void make_old(int i, int seconds) {
    fs::last_write_time(path(i), fs::file_time_type::clock::now() - std::chrono::seconds(seconds));
  }

  TemporaryFolder folder_;
};

TEST_F(BlockStoreTest, WhatWasSavedComesBackInAnotherProcessToo) {
  BlockStore store(folder_.path(), 1 << 20);
  EXPECT_EQ(store.load(key_of(1), "label"), std::nullopt);
  save(store, 1, "first block");
  save(store, 2, "");
  BlockStore other(folder_.path(), 1 << 20);
  EXPECT_EQ(other.load(key_of(1), "label"), bytes_of("first block"));
  EXPECT_EQ(other.load(key_of(2), "label"), bytes_of(""));
}

TEST_F(BlockStoreTest, KeysDependOnWhatCameBefore) {
  const BlockKey a = chained_key({}, "x"), b = chained_key(a, "x");
  EXPECT_EQ(a, chained_key({}, "x"));
  EXPECT_NE(a, b);
  EXPECT_NE(b, chained_key(chained_key({}, "y"), "x"));
  EXPECT_EQ(a.hex().size(), 32U);
}

// Cut off anywhere, any bit turned, another's label, no block at all: never taken, and removed.
TEST_F(BlockStoreTest, DamagedFilesAreNotUsedAndGo) {
  const auto expect_gone = [&](const auto& damage, const std::string& what) {
    BlockStore store(folder_.path(), 1 << 20);
    save(store, 1, "some bytes of a block");
    std::ifstream in(path(1), std::ios::binary);
    std::string file{std::istreambuf_iterator<char>(in), {}};
    damage(file);
    std::ofstream(path(1), std::ios::binary) << file;
    EXPECT_EQ(store.load(key_of(1), "label"), std::nullopt) << what;
    EXPECT_FALSE(path_exists(path(1))) << what;
  };
  BlockStore measured(folder_.path(), 1 << 20);
  save(measured, 1, "some bytes of a block");
  const size_t size = fs::file_size(path(1));
  for (size_t n = 0; n < size; ++n) {
    expect_gone([&](std::string& file) { file.resize(n); }, "cut at " + std::to_string(n));
    expect_gone([&](std::string& file) { file[n] = static_cast<char>(file[n] ^ 4); },
                "bit of byte " + std::to_string(n));
  }
  expect_gone([](std::string& file) { file += "x"; }, "longer");
  save(measured, 1, "some bytes of a block");
  EXPECT_EQ(measured.load(key_of(1), "another label"), std::nullopt);
}

TEST_F(BlockStoreTest, TheBlocksUsedLongestAgoGoFirst) {
  BlockStore store(folder_.path(), 1000);
  const std::string block(250, 'b');  // 3 of them fit beside their heads
  for (const int i : {1, 2, 3}) save(store, i, block);
  for (const int i : {1, 2, 3}) make_old(i, 100 - i);
  EXPECT_TRUE(store.load(key_of(1), "label").has_value()) << "used now";
  save(store, 4, block);
  EXPECT_TRUE(path_exists(path(1)));
  EXPECT_FALSE(path_exists(path(2)));
  EXPECT_TRUE(path_exists(path(3)));
  save(store, 5, std::string(2000, 'b'));
  EXPECT_FALSE(path_exists(path(5))) << "larger than all that may be there";
}

TEST_F(BlockStoreTest, TwoWritersAndAReaderAgree) {
  const auto write = [&] {
    BlockStore store(folder_.path(), 3000);
    for (int i = 0; i < 40; ++i) save(store, i % 20, "block " + std::string(200, 'c'));
  };
  std::thread first(write), second(write);
  BlockStore reader(folder_.path(), 3000);
  for (int i = 0; i < 200; ++i) {
    const auto bytes = reader.load(key_of(i % 20), "label");
    if (bytes) {
      EXPECT_EQ(*bytes, bytes_of("block " + std::string(200, 'c')));
    }
  }
  first.join();
  second.join();
  for (const std::string& name : entry_names(folder_.path())) {
    EXPECT_TRUE(name.ends_with(".block")) << name;
  }
}

}  // namespace
}  // namespace hadal
