// Limits and exact sizes of a ModelConfig. Errors use the names of config.json, which is where
// people meet these values.
#include "hadal/model/config.h"

#include <cmath>

#include "hadal/core/checked_math.h"
#include "hadal/core/error.h"

namespace hadal {
namespace {

// Far above anything published, far below what would overflow an index or exhaust memory unasked.
constexpr int64_t kMaxWidth = int64_t{1} << 22;
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxExperts = 16384;
constexpr int64_t kMaxExpertsInAll = int64_t{1} << 20;  // over all layers
constexpr int64_t kMaxMtp = 64;
constexpr int64_t kMaxPosition = int64_t{1} << 30;  // positions are 32-bit
constexpr int64_t kMaxParameters = int64_t{1} << 50;

void check_range(const char* key, int64_t value, int64_t low, int64_t high) {
  require(
      value >= low && value <= high,
      {.field = key, .problem = "out of range", .found = value, .expected = {low, " to ", high}});
}

void check_number(const char* key, double value, double low, double high) {
  require(
      std::isfinite(value) && value >= low && value <= high,
      {.field = key, .problem = "out of range", .found = value, .expected = {low, " to ", high}});
}

void check_rope(const ModelConfig& c) {
  require(c.qk_rope_head_dim % 2 == 0, {.field = "qk_rope_head_dim",
                                        .problem = "must be even",
                                        .found = c.qk_rope_head_dim,
                                        .expected = "a multiple of 2",
                                        .advice = "positions turn pairs of values"});
  check_number("rope_theta", c.rope_theta, 1.0 + 1e-6, 1e12);
  if (!c.yarn) return;
  check_number("rope_scaling.factor", c.yarn->factor, 1.0, 1e6);
  check_range("rope_scaling.original_max_position_embeddings", c.yarn->original_max_position, 1,
              kMaxPosition);
  check_number("rope_scaling.beta_fast", c.yarn->beta_fast, 1e-6, 1e6);
  check_number("rope_scaling.beta_slow", c.yarn->beta_slow, 1e-6, 1e6);
  check_number("rope_scaling.mscale", c.yarn->mscale, 0.0, 1e3);
  check_number("rope_scaling.mscale_all_dim", c.yarn->mscale_all_dim, 0.0, 1e3);
}

void check_router(const RouterConfig& r) {
  check_range("n_routed_experts", r.n_routed_experts, 1, kMaxExperts);
  check_range("n_group", r.n_group, 1, r.n_routed_experts);
  require(r.n_routed_experts % r.n_group == 0,
          {.field = "n_group",
           .problem = "groups must be equal",
           .found = r.n_group,
           .expected = {"a divisor of n_routed_experts ", r.n_routed_experts}});
  check_range("topk_group", r.topk_group, 1, r.n_group);
  const int64_t group_size = r.n_routed_experts / r.n_group;
  const bool grouped = r.method != TopkMethod::kGreedy;
  const int64_t reachable = grouped ? r.topk_group * group_size : r.n_routed_experts;
  require(r.top_k >= 1 && r.top_k <= reachable, {.field = "num_experts_per_tok",
                                                 .problem = "not enough experts in reach",
                                                 .found = r.top_k,
                                                 .expected = {"1 to ", reachable},
                                                 .advice = "lower it or raise topk_group"});
  // A group's score is the sum of its two largest choices; one group alone needs no score.
  require(r.method != TopkMethod::kNoauxTc || r.n_group == 1 || group_size >= 2,
          {.field = "n_group",
           .problem = "noaux_tc needs two experts in each group",
           .found = {r.n_group, " groups of ", group_size}});
  check_number("routed_scaling_factor", double{r.routed_scaling_factor}, 1e-6, 1e6);
}

void check_ids(const ModelConfig& c) {
  check_range("bos_token_id", c.bos_token_id, -1, c.vocab_size - 1);
  require(c.eos_token_ids.size() <= 64, {.field = "eos_token_id",
                                         .problem = "too many ids",
                                         .found = c.eos_token_ids.size(),
                                         .expected = "at most 64"});
  for (const int64_t id : c.eos_token_ids) check_range("eos_token_id", id, 0, c.vocab_size - 1);
}

// Sums that say so when they overflow.
class Count {
 public:
  Count(int64_t value) : value_(value) {}  // NOLINT(google-explicit-constructor): a number
  friend Count operator*(Count a, Count b) { return checked(checked_mul(a.value_, b.value_)); }
  friend Count operator+(Count a, Count b) { return checked(checked_add(a.value_, b.value_)); }
  int64_t value() const { return value_; }

 private:
  static Count checked(std::optional<int64_t> value) {
    require(
        value.has_value(),
        {.place = "model", .problem = "more than 2^63 parameters", .advice = "lower its sizes"});
    return Count(*value);
  }
  int64_t value_;
};

}  // namespace

void ModelConfig::validate() const {
  check_range("hidden_size", d_model, 1, kMaxWidth);
  check_range("num_hidden_layers", n_layers, 1, kMaxLayers);
  check_range("vocab_size", vocab_size, 1, int64_t{1} << 30);
  check_number("rms_norm_eps", rms_norm_eps, 1e-30, 1.0);
  check_range("max_position_embeddings", max_position_embeddings, 1, kMaxPosition);
  check_range("num_attention_heads", n_heads, 1, 65536);
  check_range("q_lora_rank", q_lora_rank, 0, kMaxWidth);
  check_range("kv_lora_rank", kv_lora_rank, 1, kMaxWidth);
  check_range("qk_nope_head_dim", qk_nope_head_dim, 1, 65536);
  check_range("qk_rope_head_dim", qk_rope_head_dim, 2, 65536);
  check_range("v_head_dim", v_head_dim, 1, 65536);
  check_rope(*this);
  check_range("intermediate_size", d_ff, 1, kMaxWidth);
  check_range("moe_intermediate_size", d_expert, 1, kMaxWidth);
  check_range("n_shared_experts", n_shared_experts, 0, 1024);
  check_range("first_k_dense_replace", first_k_dense_replace, 0, n_layers);
  check_range("moe_layer_freq", moe_layer_freq, 1, kMaxLayers);
  check_range("num_nextn_predict_layers", n_mtp, 0, kMaxMtp);
  check_router(router);
  const int64_t experts_in_all = (n_layers + n_mtp) * router.n_routed_experts;
  check_range("n_routed_experts * num_hidden_layers", experts_in_all, 1, kMaxExpertsInAll);
  check_ids(*this);
  const ParameterCount count = count_parameters(*this);
  const auto total = checked_add(count.total, count.mtp);
  require(total && *total <= kMaxParameters, {.place = "model",
                                              .problem = "too many parameters",
                                              .found = count.total,
                                              .expected = {"at most ", kMaxParameters},
                                              .advice = "lower its sizes"});
}

ParameterCount count_parameters(const ModelConfig& c) {
  const Count d = c.d_model, heads = c.n_heads, latent = c.kv_lora_rank,
              d_rope = c.qk_rope_head_dim;
  const Count q_rows = heads * c.d_qk();
  const Count query = c.q_lora_rank == 0 ? d * q_rows : Count(c.q_lora_rank) * (d + 1 + q_rows);
  const Count attention = query + d * (latent + d_rope) + latent +
                          latent * heads * (Count(c.qk_nope_head_dim) + c.v_head_dim) +
                          heads * c.v_head_dim * d;
  const Count norms = Count(2) * d;
  const Count dense = attention + norms + Count(3) * d * c.d_ff;
  const Count expert = Count(3) * d * c.d_expert;
  const Count n_experts = c.router.n_routed_experts;
  const Count bias = c.router.method == TopkMethod::kNoauxTc ? n_experts : Count(0);
  const Count outside_experts = attention + norms + n_experts * d + bias;
  const Count moe = outside_experts + expert * (n_experts + c.n_shared_experts);
  const Count moe_active = outside_experts + expert * (Count(c.router.top_k) + c.n_shared_experts);

  const Count table = Count(c.vocab_size) * d;
  Count total = table + d, active = table + d;
  if (!c.tie_word_embeddings) {
    total = total + table;
    active = active + table;
  }
  for (int64_t layer = 0; layer < c.n_layers; ++layer) {
    total = total + (c.is_moe(layer) ? moe : dense);
    active = active + (c.is_moe(layer) ? moe_active : dense);
  }
  const Count projection = Count(2) * d * d + Count(3) * d;
  const Count mtp = Count(c.n_mtp) * (moe + projection);
  const Count mtp_active = Count(c.n_mtp) * (moe_active + projection + table);
  const int64_t head_alone = c.tie_word_embeddings ? 0 : table.value();
  return {.total = total.value(),
          .active = active.value(),
          .active_without_embedding = active.value() - head_alone,
          .mtp = mtp.value(),
          .mtp_active = mtp_active.value()};
}

}  // namespace hadal
