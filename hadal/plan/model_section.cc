// The model's shape and what follows from it: parameters by class (docs/equations.md, "Parameter
// counts"). Equal to count_parameters, but as formulas, so that a changed shape moves every number of
// the plan.
#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

void add_shape(Worksheet& sheet, const ModelConfig& c) {
  sheet.section("model", "Model");
  const auto count = [&](const char* name, int64_t value, const char* note) {
    sheet.input(name, static_cast<double>(value), "", Origin::kModel, note);
  };
  int64_t n_dense = 0;
  for (int64_t layer = 0; layer < c.n_layers; ++layer) n_dense += c.is_moe(layer) ? 0 : 1;
  count("d_model", c.d_model, "width of the residual stream");
  count("n_layers", c.n_layers, "decoder layers, MTP not counted");
  count("n_dense_layers", n_dense, "decoder layers without experts");
  sheet.formula("n_moe_layers", "n_layers - n_dense_layers", "", "decoder layers with experts");
  count("n_heads", c.n_heads, "attention heads");
  count("q_lora_rank", c.q_lora_rank, "width of the query latent; 0: none");
  count("kv_lora_rank", c.kv_lora_rank, "width of the cached latent c_kv");
  count("qk_nope_head_dim", c.qk_nope_head_dim, "query and key columns without position, a head");
  count("qk_rope_head_dim", c.qk_rope_head_dim, "columns of the rotated key");
  count("v_head_dim", c.v_head_dim, "value columns a head");
  count("d_ff", c.d_ff, "inner width of a dense layer");
  count("d_expert", c.d_expert, "inner width of one expert");
  count("n_routed_experts", c.router.n_routed_experts, "routed experts of a layer");
  count("n_shared_experts", c.n_shared_experts, "experts that every token visits");
  count("top_k", c.router.top_k, "routed experts of a token");
  count("n_group", c.router.n_group, "groups of experts; 1: no limit on nodes");
  count("topk_group", c.router.topk_group, "groups that a token may reach");
  count("has_route_bias", c.router.method == TopkMethod::kNoauxTc ? 1 : 0,
        "1: balanced by a bias per expert");
  count("vocab_size", c.vocab_size, "ids");
  count("n_tables", c.tie_word_embeddings ? 1 : 2, "embedding and head, one if tied");
  count("n_mtp", c.n_mtp, "multi-token-prediction modules");
}

}  // namespace

void add_model(Worksheet& sheet, const ModelConfig& config) {
  add_shape(sheet, config);
  sheet.section("parameters", "Parameters");
  const auto cell = [&](const char* name, const char* expression, const char* note) {
    sheet.formula(name, expression, "parameters", note);
  };
  sheet.formula("d_qk", "qk_nope_head_dim + qk_rope_head_dim", "", "query and key columns a head");
  cell("query_up_parameters", "(q_lora_rank > 0 ? q_lora_rank : d_model) * n_heads * d_qk",
       "one layer's query projection, from the latent if there is one");
  cell("key_value_up_parameters", "kv_lora_rank * n_heads * (qk_nope_head_dim + v_head_dim)",
       "one layer's key and value projection from the latent");
  cell("attention_parameters",
       "query_up_parameters + (q_lora_rank > 0 ? q_lora_rank * (d_model + 1) : 0)"
       " + d_model * (kv_lora_rank + qk_rope_head_dim) + kv_lora_rank"
       " + key_value_up_parameters + n_heads * v_head_dim * d_model",
       "one layer, the norms of its latents included");
  cell("expert_parameters", "3 * d_model * d_expert", "gate, up and down of one expert");
  cell("router_parameters", "n_routed_experts * (d_model + has_route_bias)", "one layer");
  cell("parameters_attention", "n_layers * attention_parameters", "all layers");
  cell("parameters_dense_ffn", "n_dense_layers * 3 * d_model * d_ff", "layers without experts");
  cell("parameters_routed_experts", "n_moe_layers * n_routed_experts * expert_parameters", "");
  cell("parameters_active_experts", "n_moe_layers * top_k * expert_parameters",
       "the routed experts that one token visits");
  cell("parameters_shared_experts", "n_moe_layers * n_shared_experts * expert_parameters", "");
  cell("parameters_router", "n_moe_layers * router_parameters", "");
  cell("parameters_norms", "n_layers * 2 * d_model + d_model", "two a layer and the final one");
  cell("parameters_embedding", "vocab_size * d_model", "");
  cell("parameters_head", "(n_tables - 1) * vocab_size * d_model", "0 if tied");
  cell("parameters_always",
       "parameters_attention + parameters_dense_ffn + parameters_shared_experts"
       " + parameters_router + parameters_norms",
       "all but tables and routed experts");
  cell("parameters_total",
       "parameters_always + parameters_routed_experts + parameters_embedding + parameters_head",
       "the main model");
  cell("parameters_active",
       "parameters_always + parameters_active_experts + parameters_embedding + parameters_head",
       "per token, embedding and head included");
  cell("parameters_multiplied",
       "parameters_always + parameters_active_experts + parameters_embedding",
       "per token, one table: the embedding is a look-up, the head a product");
  cell("mtp_active_parameters",
       "attention_parameters + 2 * d_model + router_parameters"
       " + (top_k + n_shared_experts) * expert_parameters + 2 * d_model ^ 2 + 3 * d_model",
       "of one module, per token: a layer with experts, a projection, three norms");
  cell("parameters_mtp",
       "n_mtp * (mtp_active_parameters + (n_routed_experts - top_k) * expert_parameters)",
       "all modules; they share embedding and head");
}

}  // namespace hadal
