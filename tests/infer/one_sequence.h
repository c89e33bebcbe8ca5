// tests/infer/one_sequence.h: a sequence alone in a pool that has room for it.
#pragma once

#include "hadal/infer/cached_attention.h"

namespace hadal::test {

// What is cached of a layer, as F32.
inline Tensor cached_rows(Context& ctx, const LatentSequence& sequence, int64_t layer) {
  Tensor rows = ctx.empty({sequence.length(layer), sequence.pages().layout().d_row()});
  sequence.load(ctx, layer, 0, rows.mat());
  return rows;
}

struct OneSequence {
  OneSequence(const ModelConfig& config, int64_t capacity, int64_t n_mtp,
              LatentForm form = LatentForm::kF32, Memory& memory = host_memory())
      : pages(config, pages_for(capacity), n_mtp, form, memory), sequence(pages) {
    sequence.reserve(capacity);
  }
  // The rows of a layer.
  Tensor rows(Context& ctx, int64_t layer) const { return cached_rows(ctx, sequence, layer); }

  LatentPages pages;
  LatentSequence sequence;
};

}  // namespace hadal::test
