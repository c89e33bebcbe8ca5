// measure/sequence_reader.h: one text before a model, read piece by piece and taken back again.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/infer/latent_pages.h"
#include "hadal/infer/text_model.h"

namespace hadal {

// REQUIRES m.model.ensure_rope for all that is read. `pages` outlives it and holds as much.
class SequenceReader {
 public:
  SequenceReader(TextModel& m, LatentPages& pages) : m_(m), sequence_(pages) {}

  int64_t length() const { return sequence_.length(); }
  // Reads further tokens; the logits [1, V] behind the last. REQUIRES one token or more.
  Tensor read(std::span<const int32_t> ids);
  // The logits [n, V] behind each of some further tokens, which are forgotten again.
  Tensor behind(std::span<const int32_t> ids);
  void forget_from(int64_t length) { sequence_.truncate_main(length); }

 private:
  TextModel& m_;
  LatentSequence sequence_;
};

}  // namespace hadal
