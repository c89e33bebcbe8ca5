// corpus/content_hash.h: the identity of a document: XXH3-128 of its text with every run of white
// space taken as one space and none at either end. Two documents with equal hashes are duplicates.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace hadal {

struct ContentHash {
  uint64_t high = 0, low = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 means the 0 inside <=>
  auto operator<=>(const ContentHash&) const = default;
};

ContentHash content_hash(std::string_view text);

// The share of the hash space below `hash`, in [0, 1): a document is held out if it is less than
// the validation fraction. It depends on this document alone, so adding others moves none.
inline double split_position(const ContentHash& hash) {
  return static_cast<double>(hash.high >> 11) * 0x1.0p-53;
}

std::string hex(const ContentHash& hash);
ContentHash exact_hash(std::string_view bytes);  // XXH3-128 of the bytes as they are

}  // namespace hadal
