// tests/infer/one_sequence.h: a sequence alone in a pool that has room for it.
#pragma once

#include "hadal/infer/cached_attention.h"

namespace hadal::test {

struct OneSequence {
  OneSequence(const ModelConfig& config, int64_t capacity, int64_t n_mtp)
      : pages(config, pages_for(capacity), n_mtp), sequence(pages) {
    sequence.reserve(capacity);
  }
  // The rows of a layer, as they lie: alone, they are one piece.
  View<const float, 2> rows(int64_t layer) const {
    return sequence.pieces(layer, 0, sequence.length(layer)).at(0);
  }

  LatentPages pages;
  LatentSequence sequence;
};

}  // namespace hadal::test
