// model/deepseek_v3.h: the model as a list of layers, and its loss.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hadal/model/config.h"
#include "hadal/nn/mtp_block.h"

namespace hadal {

struct LossWeights {
  float mtp = 0.3F;       // lambda: total = ce + lambda/D sum_k mtp_k + balance
  float balance = 1e-4F;  // alpha
  BalanceCount balance_count = BalanceCount::kUnbiasedTopK;
};

// Means over the global batch, unweighted: total = ce + lambda/D sum_k mtp_k + alpha balance. A
// batch cut into micro-batches adds them up.
struct LossParts {
  double ce = 0;
  double balance = 0;       // sum over MoE layers of sum_i f_i P_i, mean over sequences
  std::vector<double> mtp;  // L_k, k = 1..D
  double total(const LossWeights& weights) const;
  void add(const LossParts& other);
};

struct DeepseekV3 {
  ModelConfig config;
  Param embedding;                   // [V, d]
  std::vector<DecoderLayer> layers;  // n_layers
  RmsNorm final_norm;
  Param head;                 // [V, d]; without data when tied to the embedding
  std::vector<MtpBlock> mtp;  // n_mtp
  RopeTable rope;

  Param& head_param() { return config.tie_word_embeddings ? embedding : head; }
  const Param& head_param() const { return config.tie_word_embeddings ? embedding : head; }
  void ensure_rope(Arena& arena, int64_t n_positions);  // grows the table when needed
};

// Shapes only: every Param has its shape set and no data yet.
DeepseekV3 make_model(const ModelConfig& config, Arena& arena);
// N(0, std^2) for matrices in a fixed order, 1 for norms, 0 for route_bias; F32.
void initialise_weights(DeepseekV3& model, Arena& arena, uint64_t seed, float std_dev = 0.006F);
void allocate_gradients(DeepseekV3& model, Arena& arena);

enum class ParamKind { kMatrix, kNorm, kRouteBias };
struct NamedParam {
  std::string name;  // Hugging Face name
  Param* param;
  ParamKind kind;
  Tensor::Shape shape;
};
// Every parameter once, in a fixed order: embedding, layers ascending, final norm, head (if
// untied), MTP modules (without the copies of embedding and head). Names come from
// model/hf_names.cc.
std::vector<NamedParam> named_params(DeepseekV3& model);

// ---- forward for evaluation, dump and score: logits of every row.
struct EvalOutput {
  Tensor logits;                   // [T, V]
  std::vector<Tensor> mtp_logits;  // depth k: rows of each sequence s are its first length-k rows
};
EvalOutput forward_logits(Context& ctx, const DeepseekV3& model, std::span<const int32_t> tokens,
                          const Sequences& sequences, bool with_mtp);

// ---- training pass over one micro-batch: B sequences of S tokens and their targets (tokens
// shifted by one). Losses are means over `batch_tokens` targets of the whole batch, so that
// micro-batches add.
struct MicroBatch {
  std::span<const int32_t> tokens, targets;  // [B*S]; target -1 = not counted
  int64_t n_sequences = 0, length = 0;
  int64_t batch_tokens = 0, batch_sequences = 0;  // of the whole global batch
};

struct TrainingSaved {  // everything between F, B and W of one micro-batch
  std::vector<DecoderLayer::Saved> layers;
  RmsNorm::Saved final_norm;
  Tensor final_hidden;  // what the head multiplied [T,d]
  Tensor dlogits;       // [T,V]
  struct Mtp {
    MtpBlock::Saved block;
    Sequences sequences;
    std::vector<int32_t> tokens, targets;
    Tensor normed, dlogits, dembedded;
  };
  std::vector<Mtp> mtp;
  Tensor dx;  // gradient of the embedded tokens
  Sequences sequences;
  std::vector<std::vector<int64_t>> load;  // per layer (dense: empty), MTP layers last
};
LossParts forward_loss(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                       const LossWeights& weights, TrainingSaved& saved);
void backward_input(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                    TrainingSaved& saved);
void backward_weight(Context& ctx, DeepseekV3& model, const MicroBatch& batch,
                     TrainingSaved&& saved);

// Tokens per expert, [layer][expert], MTP layers last; dense layers have an empty row.
using ExpertLoad = std::vector<std::vector<int64_t>>;
// F, B and W of one micro-batch at once, as one device trains: the same numbers as the three calls
// above in much less memory, because each layer's Saved dies as soon as the gradient has passed it
// and the head goes through its rows in chunks ([T,V] logits never exist). Adds to `load`, which is
// shaped on first use.
LossParts forward_backward(Context& ctx, DeepseekV3& model, const MicroBatch& batch,
                           const LossWeights& weights, ExpertLoad& load);

}  // namespace hadal
