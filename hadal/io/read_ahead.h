// io/read_ahead.h: a mapped file brought into memory from front to back, at the disk's full rate. Left
// alone, whoever computes on it would wait for its pages one by one, in any order.
#pragma once

#include <cstddef>
#include <span>

namespace hadal {

// The share of a mapping's pages that are in memory already: looked at in a few hundred places.
double resident_share(std::span<const std::byte> mapped);

// Returns when the pages are there, or at once where the system cannot say so. `mapped` is a part of a
// mapping, from any byte to any other. What the disk cannot give back stays absent: whoever reads it
// later learns that.
void read_ahead(std::span<const std::byte> mapped);

}  // namespace hadal
