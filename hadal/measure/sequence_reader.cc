#include "hadal/measure/sequence_reader.h"

#include <algorithm>

#include "hadal/infer/cached_forward.h"
#include "hadal/model/head.h"

namespace hadal {
namespace {

constexpr int64_t kChunk = 512;  // rows read at once
constexpr int64_t kFew = 16;     // rows for which absorbed attention is the faster

}  // namespace

Tensor SequenceReader::read(std::span<const int32_t> ids) {
  const int64_t n_all = std::ssize(ids);
  sequence_.reserve(length() + n_all);
  Tensor logits;
  for (int64_t begin = 0; begin < n_all; begin += kChunk) {
    const int64_t n = std::min(kChunk, n_all - begin);
    const auto piece = ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(n));
    const std::vector<BatchShare> all = {{&sequence_, n}}, none;
    MixedAttention attention(m_.model.rope, n <= kFew ? all : none, n <= kFew ? none : all);
    const HiddenRows out = cached_forward(m_.ctx, m_.model, piece, attention);
    if (begin + n < n_all) continue;
    logits = head_logits(m_.ctx, m_.model, out.normed.mat().rows(n - 1, n));
  }
  return logits;
}

Tensor SequenceReader::behind(std::span<const int32_t> ids) {
  const int64_t before = length(), n = std::ssize(ids);
  sequence_.reserve(before + n);
  AbsorbedAttention attention(m_.model.rope, {{&sequence_, n}});
  const HiddenRows out = cached_forward(m_.ctx, m_.model, ids, attention);
  sequence_.truncate_main(before);
  return head_logits(m_.ctx, m_.model, out.normed.mat());
}

}  // namespace hadal
