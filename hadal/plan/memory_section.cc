// Memory of one GPU by part (docs/plan.md, "Memory and traffic"), rank by rank: layers without experts
// come first. Two ranks compete for the largest sum: the one whose layers need most, and the one with
// fewer layers, but with embedding, head and MTP. EMA weights wait in host memory.
#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

constexpr int64_t kMostLayers = 1 << 20;

struct LayersOfRank {
  double dense = 0, moe = 0;
  bool has_head = false;
};

std::vector<LayersOfRank> layers_of_ranks(const Worksheet& sheet) {
  const StagePlacement placement = stage_placement(sheet);
  const std::vector<int64_t> layers =
      layers_of_stages(whole_cell(sheet, "n_layers", 1, kMostLayers), placement.n_stages,
                       sheet.value("head_in_layers"));
  std::vector<double> dense(layers.size());  // of each stage
  double dense_left = sheet.value("n_dense_layers");
  for (size_t stage = 0; stage < layers.size(); ++stage) {
    dense[stage] = std::min(static_cast<double>(layers[stage]), dense_left);
    dense_left -= dense[stage];
  }
  std::vector<LayersOfRank> ranks(static_cast<size_t>(placement.n_ranks()));
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    for (const int32_t held : placement.held_by(static_cast<int32_t>(rank))) {
      const auto stage = static_cast<size_t>(held);
      ranks[rank].dense += dense[stage];
      ranks[rank].moe += static_cast<double>(layers[stage]) - dense[stage];
      ranks[rank].has_head = ranks[rank].has_head || stage + 1 == layers.size();
    }
  }
  return ranks;
}

LayersOfRank rank_with_head(const Worksheet& sheet) {
  return std::ranges::max(layers_of_ranks(sheet), {}, &LayersOfRank::has_head);
}

LayersOfRank fullest_rank(const Worksheet& sheet) {
  const double dense = sheet.value("memory_dense_layer"), moe = sheet.value("memory_moe_layer");
  return std::ranges::max(layers_of_ranks(sheet), {}, [&](const LayersOfRank& rank) {
    return rank.dense * dense + rank.moe * moe;
  });
}

void add_layers_of_ranks(Worksheet& sheet) {
  const auto count = [&](const char* name, bool end, double LayersOfRank::*kind, const char* note) {
    sheet.computed(
        name,
        {"n_layers", "n_dense_layers", "pp", "schedule", "interleaved_stages", "head_in_layers",
         "memory_dense_layer", "memory_moe_layer"},
        [=](const Worksheet& s) { return (end ? rank_with_head(s) : fullest_rank(s)).*kind; }, "",
        note);
  };
  count("inner_moe_layers", false, &LayersOfRank::moe, "with experts, of the rank that needs most");
  count("inner_dense_layers", false, &LayersOfRank::dense, "its layers without experts");
  count("end_moe_layers", true, &LayersOfRank::moe, "with experts, of the rank with the head");
  count("end_dense_layers", true, &LayersOfRank::dense, "its layers without experts");
}

// What a layer of each kind takes on its rank.
void add_layers(Worksheet& sheet) {
  sheet.formula("expert_parameters_per_gpu", "stages_held * parameters_routed_experts / (pp * ep)",
                "parameters", "routed experts, the mean over ranks");
  sheet.formula("other_parameters_per_gpu", "stages_held * parameters_always / pp", "parameters",
                "attention, dense and shared FFN, router, norms, the mean over ranks");
  const auto parameters = [&](const char* name, const char* expression, const char* note) {
    sheet.formula(name, expression, "parameters", note);
  };
  parameters("experts_of_moe_layer", "n_routed_experts * expert_parameters / ep",
             "routed experts of one layer on one GPU");
  parameters("others_of_moe_layer",
             "attention_parameters + 2 * d_model + n_shared_experts * expert_parameters"
             " + router_parameters",
             "the rest of a layer with experts");
  parameters("parameters_of_dense_layer", "attention_parameters + 2 * d_model + 3 * d_model * d_ff",
             "a layer without experts");
  sheet.formula("bytes_per_weight", "uses_fp8 ? 1 + 4 / 128 ^ 2 : 2", "B",
                "FP8 with an FP32 scale per 128 x 128 block, or BF16");
  sheet.input("state_bytes_per_parameter", 4 + 2 + 2, "B", Origin::kPublished,
              "FP32 master, BF16 first and second moment; report section 3.3");
  sheet.formula("bytes_per_expert_parameter",
                "bytes_per_weight + 4 + state_bytes_per_parameter / expert_group", "B",
                "weight, FP32 gradient, state sharded over the GPUs with the same experts");
  sheet.formula("bytes_per_other_parameter",
                "bytes_per_weight + 4 + state_bytes_per_parameter / dense_group", "B",
                "the same, sharded over the GPUs with the same stage");
  sheet.formula("tokens_in_flight", "in_flight_chunks / stages_held * tokens_per_micro_batch",
                "tokens", "whose activations a layer keeps");
  sheet.formula("memory_moe_layer",
                "experts_of_moe_layer * bytes_per_expert_parameter"
                " + others_of_moe_layer * bytes_per_other_parameter"
                " + tokens_in_flight * activation_bytes_per_token",
                "B", "all that a layer with experts takes");
  sheet.formula("memory_dense_layer",
                "parameters_of_dense_layer * bytes_per_other_parameter"
                " + tokens_in_flight * activation_bytes_of_dense_layer",
                "B", "all that a layer without experts takes");
}

void add_end_rank(Worksheet& sheet) {
  sheet.formula("end_table_parameters",
                "ends_meet + n_mtp > 0 ? parameters_embedding + parameters_head"
                " : max(parameters_embedding, parameters_head)",
                "parameters", "tables at the end: both, where one rank has both ends or MTP");
  sheet.formula("end_mtp_parameters",
                "n_mtp * (n_routed_experts * expert_parameters / ep + mtp_active_parameters"
                " - top_k * expert_parameters)",
                "parameters", "MTP modules at the end, experts divided");
  sheet.formula("memory_end_tables",
                "end_table_parameters * (2 + 4 + state_bytes_per_parameter / dense_group)", "B",
                "BF16 tables, FP32 gradients, sharded states");
  sheet.formula("memory_end_mtp",
                "end_mtp_parameters * (bytes_per_weight + 4)"
                " + n_mtp * tokens_in_flight * activation_bytes_per_token",
                "B", "MTP's weights, gradients and activations");
  sheet.formula("memory_end_logits", "tokens_per_micro_batch * vocab_size * 4", "B",
                "logits and their gradient of one micro-batch, BF16");
}

}  // namespace

void add_memory(Worksheet& sheet) {
  add_activation_bytes(sheet);
  sheet.section("memory", "Memory of one GPU");
  const auto bytes = [&](const std::string& name, const std::string& expression, const char* note) {
    sheet.formula(name, expression, "B", note);
  };
  add_layers(sheet);
  add_layers_of_ranks(sheet);
  sheet.formula("inner_expert_parameters", "inner_moe_layers * experts_of_moe_layer", "parameters",
                "its routed experts");
  sheet.formula("inner_other_parameters",
                "inner_moe_layers * others_of_moe_layer"
                " + inner_dense_layers * parameters_of_dense_layer",
                "parameters", "everything else of its layers");
  bytes("memory_expert_weights", "inner_expert_parameters * bytes_per_weight", "routed experts");
  bytes("memory_other_weights", "inner_other_parameters * bytes_per_weight",
        "the rest of its layers");
  const char* const all_weights = "(inner_expert_parameters + inner_other_parameters)";
  for (const auto& [name, each] :
       {std::pair{"fp8", "(1 + 4 / 128 ^ 2)"}, {"bf16", "2"}, {"fp32", "4"}}) {
    bytes(concat("memory_weights_if_", name), concat(all_weights, " * ", each),
          "the two together, for comparison");
  }
  bytes("memory_gradients", concat(all_weights, " * 4"), "FP32");
  bytes("memory_optimizer_experts",
        "state_bytes_per_parameter * inner_expert_parameters / expert_group",
        "ZeRO-1: sharded over the GPUs with the same experts, one logical copy");
  bytes("memory_optimizer_others",
        "state_bytes_per_parameter * inner_other_parameters / dense_group",
        "ZeRO-1: sharded over the GPUs with the same stage");
  bytes("chunk_activation_bytes",
        "tokens_per_micro_batch / stages_held * (inner_moe_layers * activation_bytes_per_token"
        " + inner_dense_layers * activation_bytes_of_dense_layer)",
        "what one micro-batch leaves on a stage of that rank");
  bytes("memory_activations", "in_flight_chunks * chunk_activation_bytes", "all chunks in flight");
  bytes("memory_working_set", "tokens_per_micro_batch * activation_bytes_unsaved",
        "one layer's tensors that are recomputed, or not saved");
  bytes("memory_buffers",
        "2 * tokens_per_micro_batch * nodes_reached * (dispatch_bytes + combine_bytes)"
        " + 4 * pipeline_bytes",
        "all-to-all of two micro-batches, pipeline sends and receives of both directions");
  sheet.input("memory_reserved", 3e9, "B", Origin::kAssumed,
              "driver, communicators, fragmentation");
  add_end_rank(sheet);
  bytes("memory_common", "memory_working_set + memory_buffers + memory_reserved", "on every rank");
  bytes("memory_inner_rank",
        "memory_expert_weights + memory_other_weights + memory_gradients"
        " + memory_optimizer_experts + memory_optimizer_others + memory_activations"
        " + memory_common",
        "the rank whose layers need most");
  bytes("memory_end_rank",
        "end_moe_layers * memory_moe_layer + end_dense_layers * memory_dense_layer"
        " + memory_end_tables + memory_end_mtp + memory_end_logits + memory_common",
        "the rank with the head");
  bytes("memory_per_gpu", "max(memory_inner_rank, memory_end_rank)", "the fuller of the two");
  bytes("memory_headroom", "gpu_memory - memory_per_gpu", "negative: does not fit");
  bytes("host_memory_ema", "4 * (parameters_total + parameters_mtp) / gpus * gpus_per_node",
        "EMA of the weights in FP32, in each node's host memory");
}

}  // namespace hadal
