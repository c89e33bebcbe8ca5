// tests/infer/one_sequence.h: a sequence alone in a pool that has room for it.
#pragma once

#include "hadal/infer/cached_attention.h"

namespace hadal::test {

struct OneSequence {
  OneSequence(const ModelConfig& config, int64_t capacity, int64_t n_mtp,
              LatentForm form = LatentForm::kF32)
      : pages(config, pages_for(capacity), n_mtp, form), sequence(pages) {
    sequence.reserve(capacity);
  }
  // The rows of a layer.
  Tensor rows(Context& ctx, int64_t layer) const {
    return sequence.load(ctx, layer, 0, sequence.length(layer));
  }

  LatentPages pages;
  LatentSequence sequence;
};

}  // namespace hadal::test
