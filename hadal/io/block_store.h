// io/block_store.h: blocks of bytes in a folder, each under a name made of what it stands for: a cache
// that several processes use at once and that may be deleted at any time.
//
// A file KEY.block is: "hadal block 1\n", XXH3-64 of all that follows (8 bytes, little endian), the
// length of the label (8 bytes), the label, the bytes. The label says what the block is in full, so
// another program's or another model's block is never taken for it. Files appear by renaming and never
// change; the ones used longest ago go when the folder holds more than its share.
//
// A cache does not stop work: a file that is damaged, or that the disk does not give back, is noted,
// removed and made again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hadal {

// Identity of a chain: that of what comes before, and its own bytes.
struct BlockKey {
  uint64_t high = 0, low = 0;
  bool operator==(const BlockKey&) const = default;
  std::string hex() const;
};
BlockKey chained_key(const BlockKey& before, std::string_view bytes);  // XXH3-128

class BlockStore {
 public:
  // Makes the folder; IoError if that fails. `most_bytes` of all blocks in it, whoever wrote them.
  BlockStore(std::string folder, int64_t most_bytes);

  // The bytes, if they are there and whole.
  std::optional<std::vector<std::byte>> load(const BlockKey& key, std::string_view label);
  // Parts of a block, written one behind the other. A block that is there already is only used again.
  void save(const BlockKey& key, std::string_view label,
            std::span<const std::span<const std::byte>> parts);

 private:
  std::string path_of(const BlockKey& key) const;
  void make_room(int64_t bytes);

  std::string folder_;
  int64_t most_bytes_;
  int64_t bytes_ = -1;  // at the last look, and written since; -1: not looked yet
};

}  // namespace hadal
