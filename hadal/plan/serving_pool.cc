// The size of a pool: how many GPUs hold all experts between them, and the weights of one.
#include "hadal/plan/serving_cells.h"

namespace hadal {

void add_serving_pool(Worksheet& sheet, const std::string& pool, const ServingPool& figures,
                      const std::string& source) {
  const auto given = [&](const std::string& name, double value, const std::string& note) {
    sheet.input(pool + name, value, "", Origin::kPublished, note + "; " + source);
  };
  // "{}" stands for the pool in the texts of formulas.
  const auto formula = [&](const std::string& name, std::string text, const std::string& unit,
                           const std::string& note) {
    for (size_t at = text.find("{}"); at != std::string::npos; at = text.find("{}", at)) {
      text.replace(at, 2, pool);
    }
    sheet.formula(pool + name, text, unit, note);
  };
  given("_slots_per_gpu", figures.slots_per_gpu, "routed experts that a GPU is to hold");
  given("_redundant_share", figures.redundant_share, "redundant slots per routed expert");
  given("_shared_per_gpu", figures.shared_per_gpu,
        "1: shared experts on every GPU, 0: among the redundant slots");
  given("_tensor_parallel", figures.tensor_parallel, "GPUs that share an attention layer");
  formula("_redundant_experts",
          "n_moe_layers > 0 ? ceil({}_redundant_share * n_routed_experts) : 0", "",
          "slots beyond one per routed expert");
  formula("_nodes",
          "n_moe_layers > 0 ? ceil((n_routed_experts + {}_redundant_experts)"
          " / {}_slots_per_gpu / gpus_per_node) : 1",
          "nodes", "smallest unit that holds every expert");
  formula("_gpus", "{}_nodes * gpus_per_node", "GPUs", "width of expert parallelism");
  formula("_experts_per_gpu",
          "n_moe_layers > 0 ? ceil((n_routed_experts + {}_redundant_experts) / {}_gpus) : 0", "",
          "routed experts of one layer on the fullest GPU");
  formula("_replicated_bytes",
          "(n_layers * attention_parameters / {}_tensor_parallel"
          " + (n_layers - n_moe_layers) * serving_dense_parameters) * serving_bytes_per_weight",
          "B", "attention and dense layers, on every GPU");
  formula("_expert_bytes",
          "n_moe_layers * ({}_experts_per_gpu + {}_shared_per_gpu * n_shared_experts)"
          " * expert_parameters * serving_bytes_per_weight",
          "B", "experts of all layers on one GPU");
  formula("_table_bytes", "n_tables * vocab_size * d_model * 2", "B", "embedding and head, BF16");
  formula("_weight_bytes", "{}_replicated_bytes + {}_expert_bytes + {}_table_bytes", "B",
          "weights on one GPU");
}

}  // namespace hadal
