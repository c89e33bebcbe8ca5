// corpus/mixture.h: documents of several sources in given shares, as 87 % code, 10 % text about code and
// 3 % other text of DeepSeek-Coder. The scarcest source is taken whole and decides how much there is of
// the others. What is left out of a source depends on the hashes of its documents alone, so it is spread
// over all of it; no document is repeated. None is cut but one of several files (a repository that hangs
// together, document_source.h) that does not fit: of its files, in their order, those are taken that do. As
// they stand behind what they use, the first of them are whole with all that they use.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "hadal/corpus/content_hash.h"

namespace hadal {

struct MixedDocument {
  ContentHash hash;
  int64_t source = 0;
  int64_t size = 0;                      // in what the shares are of: tokens
  std::vector<int64_t> file_sizes = {};  // of one that may be cut, together its size
};

struct Mixture {
  std::vector<bool> taken;  // one for every document, in their order
  // Of a document that is not taken as a whole: one for each of its files.
  std::map<size_t, std::vector<bool>> files;
  std::vector<int64_t> size;  // of each source, of what is taken
};

// Shares are relative: {87, 10, 3} and {0.87, 0.1, 0.03} are the same. REQUIRES all above 0.
Mixture mix(std::span<const MixedDocument> documents, std::span<const double> shares);

// The largest distance of a source's part from its share: 0.001 is a tenth of a percent of all.
double largest_deviation(std::span<const int64_t> sizes, std::span<const double> shares);

}  // namespace hadal
