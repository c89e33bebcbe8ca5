// The published figures of serving DeepSeek-V3, computed from their published inputs: the speed
// limits of the hardware paper and one day of the production system (docs/serving_plan.md, "Against
// what was published").
#include <tuple>

#include "hadal/plan/serving_cells.h"

namespace hadal {

void add_speed_limits(Worksheet& sheet) {
  const std::string paper = "hardware paper, arXiv:2505.09343, section 2.3.2";
  sheet.section("speed_limits", "Serving: published speed limits, one expert per device");
  const auto input = [&](const std::string& name, double value, const std::string& unit,
                         const std::string& note) {
    sheet.input(name, value, unit, Origin::kPublished, note);
  };
  input("limit_tokens", 32, "tokens", "per device and micro-batch; " + paper);
  input("limit_d_model", 7000, "", "the paper's round figure for 7168");
  input("limit_dispatch_bytes_per_value", 1, "B", "FP8");
  input("limit_combine_bytes_per_value", 2, "B", "BF16");
  input("limit_micro_batches", 2, "", "one computes while the other communicates");
  input("limit_network_bandwidth", 50e9, "B/s", "400 Gb/s InfiniBand; " + paper);
  input("limit_nvlink_bandwidth", 900e9, "B/s", "72 GPUs in one NVLink domain; " + paper);
  sheet.formula("limit_bytes",
                "(limit_dispatch_bytes_per_value + limit_combine_bytes_per_value) * limit_tokens"
                " * (top_k + n_shared_experts) * limit_d_model",
                "B", "one all-to-all of a micro-batch there and back");
  for (const auto& [link, seconds, tpot, tokens] :
       {std::tuple{"network", 120.96e-6, 14.76e-3, 67.0},
        std::tuple{"nvlink", 6.72e-6, 0.82e-3, 1200.0}}) {
    const std::string name = std::string("limit_") + link;
    sheet.formula(name + "_seconds", "limit_bytes / " + name + "_bandwidth", "s",
                  "communication of one layer and micro-batch");
    sheet.formula(name + "_tpot", "limit_micro_batches * n_layers * " + name + "_seconds", "s",
                  "time per output token, computing hidden");
    sheet.formula(name + "_tokens_per_s", "1 / " + name + "_tpot", "tokens/s", "per user");
    sheet.published(name + "_seconds", seconds, paper);
    sheet.published(name + "_tpot", tpot, paper);
    sheet.published(name + "_tokens_per_s", tokens, paper);
  }
}

namespace {

void add_day_inputs(Worksheet& sheet) {
  const std::string overview = "inference system overview, February 2025";
  const auto input = [&](const std::string& name, double value, const std::string& unit,
                         const std::string& note) {
    sheet.input(name, value, unit, Origin::kPublished, note + "; " + overview);
  };
  input("day_nodes", 226.75, "nodes", "mean of 24 hours");
  input("day_gpus_per_node", 8, "GPUs", "H800");
  input("day_gpu_price", 2, "USD/GPU-hour", "assumed there");
  input("day_input_tokens", 608e9, "tokens", "prompts");
  input("day_hit_tokens", 342e9, "tokens", "of them found in the cache on disk");
  input("day_output_tokens", 168e9, "tokens", "answers");
  input("day_hit_price", 0.14, "USD/million", "R1's price");
  input("day_miss_price", 0.55, "USD/million", "R1's price");
  input("day_output_price", 2.19, "USD/million", "R1's price");
  input("day_prefill_rate", 73700, "tokens/s", "per prefill node, cache hits included");
  input("day_decode_rate", 14800, "tokens/s", "per decode node");
  input("day_user_rate", 21, "tokens/s", "per user, 20 to 22");
  input("day_context", 4989, "tokens", "mean cache length of an output token");
}

void add_day_money(Worksheet& sheet) {
  const std::string overview = "inference system overview";
  sheet.formula("day_cost", "day_nodes * day_gpus_per_node * 24 * day_gpu_price", "USD", "one day");
  sheet.published("day_cost", 87072, overview);
  sheet.formula("day_income",
                "(day_hit_tokens * day_hit_price"
                " + (day_input_tokens - day_hit_tokens) * day_miss_price"
                " + day_output_tokens * day_output_price) / 1e6",
                "USD", "theoretical: every token at R1's price; token counts are rounded");
  sheet.published("day_income", 562027, overview);
  sheet.formula("day_margin", "100 * (day_income / day_cost - 1)", "%", "income over cost");
  sheet.published("day_margin", 545, overview);
}

}  // namespace

void add_serving_day(Worksheet& sheet) {
  const std::string overview = "inference system overview";
  sheet.section("serving_day", "Serving: the published day, checked");
  add_day_inputs(sheet);
  add_day_money(sheet);
  sheet.formula("day_hit_rate", "day_hit_tokens / day_input_tokens", "", "of prompt tokens");
  sheet.published("day_hit_rate", 0.563, overview);
  sheet.formula("day_prefill_nodes", "day_input_tokens / 86400 / day_prefill_rate", "nodes",
                "that the published rate needs");
  sheet.formula("day_decode_nodes", "day_output_tokens / 86400 / day_decode_rate", "nodes",
                "that the published rate needs");
  // Each rate from the other one and the number of nodes: three published figures that must agree.
  sheet.formula("day_prefill_rate_check",
                "day_input_tokens / 86400 / (day_nodes - day_decode_nodes)", "tokens/s",
                "per node, if the nodes that do not decode prefill");
  sheet.published("day_prefill_rate_check", 73700, overview);
  sheet.formula("day_decode_rate_check",
                "day_output_tokens / 86400 / (day_nodes - day_prefill_nodes)", "tokens/s",
                "per node, if the nodes that do not prefill decode");
  sheet.published("day_decode_rate_check", 14800, overview);

  sheet.formula("day_decode_rate_per_gpu", "day_decode_rate / day_gpus_per_node", "tokens/s",
                "output tokens");
  sheet.formula("day_sequences_per_gpu", "day_decode_rate_per_gpu / day_user_rate", "sequences",
                "decoding at once");
  sheet.formula("day_cache_per_gpu", "day_sequences_per_gpu * day_context * kv_bytes_per_token",
                "B", "latent cache of those sequences");
  sheet.formula("day_computed_rate_per_gpu",
                "day_prefill_rate / day_gpus_per_node * (1 - day_hit_rate)", "tokens/s",
                "prompt tokens that are not cache hits");
  sheet.formula("day_prefill_flops_per_gpu",
                "day_computed_rate_per_gpu * 2 * parameters_multiplied", "FLOP/s",
                "linear work of prefill");
  sheet.formula("day_prefill_share_of_limit",
                "day_computed_rate_per_gpu / prefill_tokens_per_s_per_gpu", "",
                "of what this plan allows; a mean over a day of uneven load");
  sheet.formula("day_decode_share_of_limit",
                "day_decode_rate_per_gpu / decode_tokens_per_s_per_gpu", "",
                "of what this plan allows; a mean over a day of uneven load");
}

}  // namespace hadal
