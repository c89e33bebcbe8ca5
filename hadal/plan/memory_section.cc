// Memory of one GPU by part (docs/plan.md, "Memory and traffic"). Two kinds of rank compete for the
// largest sum: one in the middle with as many layers as any, and one at an end with fewer layers,
// but with embedding, head and MTP. EMA weights wait in host memory.
#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

constexpr int64_t kMostLayers = 1 << 20;
const std::vector<std::string> kStageInputs = {"n_layers", "pp", "head_in_layers", "schedule"};

// Layers that rank r's modules hold together.
double layers_of_rank(const Worksheet& sheet, bool end_rank) {
  const Layout layout = layout_of(sheet);
  const std::vector<int64_t> layers = layers_of_stages(
      whole_cell(sheet, "n_layers", 1, kMostLayers), layout.pp, sheet.value("head_in_layers"));
  const size_t n = layers.size();
  const bool paired = layout.schedule >= ScheduleKind::kDualPipe;
  if (end_rank) return static_cast<double>(layers[n - 1] + (paired ? layers[0] : 0));
  int64_t most = 0;
  for (size_t r = 0; r < n; ++r)
    most = std::max(most, layers[r] + (paired ? layers[n - 1 - r] : 0));
  return static_cast<double>(most);
}

void add_held_parameters(Worksheet& sheet) {
  sheet.formula("expert_parameters_per_gpu", "stages_held * parameters_routed_experts / (pp * ep)",
                "parameters", "routed experts, the mean over ranks");
  sheet.formula("other_parameters_per_gpu", "stages_held * parameters_always / pp", "parameters",
                "attention, dense and shared FFN, router, norms, the mean over ranks");
  // A cell reads only cells named as its inputs; layout_of reads the whole layout.
  std::vector<std::string> inputs = kStageInputs;
  for (const char* name : {"ep", "micro_batch_sequences", "recompute", "uses_fp8"}) {
    inputs.emplace_back(name);
  }
  sheet.computed(
      "inner_rank_layers", inputs, [](const Worksheet& s) { return layers_of_rank(s, false); }, "",
      "most layers that a rank holds, stages divided as evenly as the head allows");
  sheet.computed(
      "end_rank_layers", inputs, [](const Worksheet& s) { return layers_of_rank(s, true); }, "",
      "layers of the rank with the head");
  sheet.formula("mean_rank_layers", "stages_held * n_layers / pp", "", "layers of a rank");
  sheet.formula("inner_share", "inner_rank_layers / mean_rank_layers", "", "of the mean rank");
  sheet.formula("end_share", "end_rank_layers / mean_rank_layers", "", "of the mean rank");
}

void add_end_rank(Worksheet& sheet) {
  sheet.formula("end_table_parameters",
                "overlaps + n_mtp > 0 ? parameters_embedding + parameters_head"
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
                " + n_mtp * in_flight_chunks / stages_held"
                " * tokens_per_micro_batch * activation_bytes_per_token",
                "B", "MTP's weights, gradients and activations");
  sheet.formula("memory_end_logits", "tokens_per_micro_batch * vocab_size * 4", "B",
                "logits and their gradient of one micro-batch, BF16");
}

}  // namespace

void add_memory(Worksheet& sheet) {
  add_activation_bytes(sheet);
  sheet.section("memory", "Memory of one GPU");
  const auto bytes = [&](const char* name, const char* expression, const char* note) {
    sheet.formula(name, expression, "B", note);
  };
  add_held_parameters(sheet);
  bytes("bytes_per_weight", "uses_fp8 ? 1 + 4 / 128 ^ 2 : 2",
        "FP8 with an FP32 scale per 128 x 128 block, or BF16");
  sheet.input("state_bytes_per_parameter", 4 + 2 + 2, "B", Origin::kPublished,
              "FP32 master, BF16 first and second moment; report section 3.3");
  bytes("memory_expert_weights", "inner_share * expert_parameters_per_gpu * bytes_per_weight",
        "routed experts");
  bytes("memory_other_weights", "inner_share * other_parameters_per_gpu * bytes_per_weight",
        "everything else of a layer");
  const std::pair<const char*, const char*> precisions[] = {
      {"memory_weights_if_fp8", "(1 + 4 / 128 ^ 2)"},
      {"memory_weights_if_bf16", "2"},
      {"memory_weights_if_fp32", "4"}};
  for (const auto& [name, bytes_each] : precisions) {
    bytes(name,
          concat("inner_share * (expert_parameters_per_gpu + other_parameters_per_gpu) * ",
                 bytes_each)
              .c_str(),
          "the two together, for comparison");
  }
  bytes("memory_gradients",
        "inner_share * (expert_parameters_per_gpu + other_parameters_per_gpu) * 4", "FP32");
  bytes("memory_optimizer_experts",
        "inner_share * state_bytes_per_parameter * expert_parameters_per_gpu / expert_group",
        "ZeRO-1: sharded over the GPUs with the same experts, one logical copy");
  bytes("memory_optimizer_others",
        "inner_share * state_bytes_per_parameter * other_parameters_per_gpu / dense_group",
        "ZeRO-1: sharded over the GPUs with the same stage");
  bytes("chunk_activation_bytes",
        "activation_bytes_per_token * tokens_per_micro_batch * n_layers / pp",
        "what one micro-batch leaves on one stage");
  bytes("memory_activations", "inner_share * in_flight_chunks * chunk_activation_bytes",
        "all chunks in flight");
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
        "a rank with as many layers as any");
  bytes("memory_end_rank",
        "end_share / inner_share * (memory_inner_rank - memory_common) + memory_end_tables"
        " + memory_end_mtp + memory_end_logits + memory_common",
        "the rank with the head");
  bytes("memory_per_gpu", "max(memory_inner_rank, memory_end_rank)", "the fuller of the two");
  bytes("memory_headroom", "gpu_memory - memory_per_gpu", "negative: does not fit");
  bytes("host_memory_ema", "4 * (parameters_total + parameters_mtp) / gpus * gpus_per_node",
        "EMA of the weights in FP32, in each node's host memory");
}

}  // namespace hadal
