#include "hadal/train/evaluate.h"

#include <algorithm>
#include <numbers>

#include "hadal/model/forward.h"
#include "hadal/ops/argmax.h"
#include "hadal/ops/cross_entropy.h"

namespace hadal {
namespace {

// The token each row makes most likely.
std::vector<int64_t> likeliest(Context& ctx, const Tensor& logits) {
  std::vector<int64_t> result(static_cast<size_t>(logits.dim(0)));
  argmax_rows(ctx, result, logits.mat());
  return result;
}

// Row i of depth k and row i+k of the main model both predict token i+k+1 of their sequence.
void compare_depth(const std::vector<int64_t>& main, const std::vector<int64_t>& mtp,
                   const Batch& batch, int64_t k, BatchScore::Agreement& sum) {
  const int64_t rows = batch.length - k;
  for (int64_t s = 0; s < batch.n_sequences; ++s) {
    for (int64_t i = 0; i < rows; ++i) {
      const auto at = static_cast<size_t>(s * batch.length + i + k);
      if (batch.targets[at] < 0) continue;
      ++sum.compared;
      sum.same += main[at] == mtp[static_cast<size_t>(s * rows + i)];
    }
  }
}

}  // namespace

BatchScore score(Context& ctx, const EvalOutput& out, const HeldOutBatch& held_out) {
  const auto& [batch, bytes] = held_out;
  BatchScore result;
  Tensor loss = ctx.empty({out.logits.dim(0)});
  cross_entropy_forward(ctx, loss.vec(), out.logits.mat(), batch.targets);
  const Tensor on_host = loss.to_host();
  for (const float row : on_host.flat<float>()) result.nats += double{row};
  result.tokens =
      std::count_if(batch.targets.begin(), batch.targets.end(), [](int32_t id) { return id >= 0; });
  result.bytes = bytes;
  result.mtp.resize(out.mtp_logits.size());
  if (result.mtp.empty()) return result;
  const std::vector<int64_t> main = likeliest(ctx, out.logits);
  for (size_t k = 1; k <= out.mtp_logits.size(); ++k) {
    if (static_cast<int64_t>(k) >= batch.length) break;
    compare_depth(main, likeliest(ctx, out.mtp_logits[k - 1]), batch, static_cast<int64_t>(k),
                  result.mtp[k - 1]);
  }
  return result;
}

Evaluation evaluation_of(const std::vector<BatchScore>& scores) {
  BatchScore sum;
  for (const BatchScore& each : scores) {
    sum.nats += each.nats;
    sum.tokens += each.tokens;
    sum.bytes += each.bytes;
    sum.mtp.resize(each.mtp.size());
    for (size_t k = 0; k < each.mtp.size(); ++k) {
      sum.mtp[k].same += each.mtp[k].same;
      sum.mtp[k].compared += each.mtp[k].compared;
    }
  }
  const auto share = [](double part, int64_t whole) {
    return part / static_cast<double>(std::max<int64_t>(whole, 1));
  };
  Evaluation result;
  result.tokens = sum.tokens;
  result.bytes = sum.bytes;
  result.loss = share(sum.nats, sum.tokens);
  result.bits_per_byte = share(sum.nats / std::numbers::ln2, sum.bytes);
  for (const BatchScore::Agreement& depth : sum.mtp) {
    result.mtp_acceptance.push_back(share(static_cast<double>(depth.same), depth.compared));
  }
  return result;
}

Evaluation evaluate(Context& ctx, const DeepseekV3& model,
                    const std::vector<HeldOutBatch>& held_out) {
  std::vector<BatchScore> scores;
  for (const HeldOutBatch& each : held_out) {
    const Batch& batch = each.batch;
    scores.push_back(
        score(ctx,
              forward_logits(ctx, model, batch.tokens,
                             Sequences::equal(batch.n_sequences, batch.length), !model.mtp.empty()),
              each));
  }
  return evaluation_of(scores);
}

int64_t evaluation_batch(const ModelConfig& config, int64_t seq_len) {
  const int64_t per_sequence = seq_len * config.vocab_size * (1 + config.n_mtp);
  return std::max<int64_t>(1, (int64_t{1} << 24) / per_sequence);
}

}  // namespace hadal
