// train/evaluate.h: a model on held-out rows: loss, bits per byte, and how often MTP agrees.
//
//   bits per byte              sum of -log2 p(target) / bytes that the targets stand for. Marks
//                              such as the end of a document cost bits and stand for no byte.
//   mtp acceptance of depth k  share of positions where the argmax of MTP depth k equals the argmax
//                              of the main model for the same token, both having read the true
//                              text: what greedy speculative decoding would accept there.
#pragma once

#include <vector>

#include "hadal/data/batch.h"
#include "hadal/model/forward.h"

namespace hadal {

struct Evaluation {
  double loss = 0.0;  // nats per target token
  double bits_per_byte = 0.0;
  std::vector<double> mtp_acceptance;  // of depth 1, 2, ...
  int64_t tokens = 0, bytes = 0;
};

struct HeldOutBatch {
  Batch batch;
  int64_t bytes = 0;  // of text that its targets stand for
};
Evaluation evaluate(Context& ctx, const DeepseekV3& model,
                    const std::vector<HeldOutBatch>& held_out);

// In parts, where batches are scored in different places: what one of them adds, and all together.
struct BatchScore {
  struct Agreement {
    int64_t same = 0, compared = 0;
  };
  double nats = 0.0;
  int64_t tokens = 0, bytes = 0;
  std::vector<Agreement> mtp;  // of depth 1, 2, ...
};
BatchScore score(Context& ctx, const EvalOutput& out, const HeldOutBatch& held_out);
Evaluation evaluation_of(const std::vector<BatchScore>& scores);

// How many sequences at once keep the logits of one pass at about 64 MB.
int64_t evaluation_batch(const ModelConfig& config, int64_t seq_len);

}  // namespace hadal
