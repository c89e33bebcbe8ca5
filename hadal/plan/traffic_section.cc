// What travels over which link (docs/plan.md, "Memory and traffic").
//
// Dispatch sends a token's copy once to each node it reaches, over the NIC to the GPU with the same
// index there, which forwards it over NVLink to the GPUs of its experts; combine goes back.
#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

void add_all_to_all(Worksheet& sheet) {
  sheet.formula("dispatch_bytes", "uses_fp8 ? d_model + d_model / 128 * 4 : 2 * d_model", "B",
                "one token's copy: FP8 and a scale per 128 values, or BF16");
  sheet.formula("combine_bytes", "2 * d_model", "B", "one token's copy back, BF16");
  sheet.formula("expert_nodes", "max(1, ep / gpus_per_node)", "", "of an expert-parallel group");
  sheet.formula("expert_gpus_per_node", "min(ep, gpus_per_node)", "", "of a group, in one node");
  sheet.formula("nodes_reached",
                "n_group > 1 ? min(expert_nodes, topk_group)"
                " : expert_nodes * (1 - (1 - 1 / expert_nodes) ^ top_k)",
                "", "by a token: limited by its groups, else what even routing gives");
  sheet.formula("remote_share", "(expert_nodes - 1) / expert_nodes", "fraction",
                "of the nodes reached that are not the token's own");
  sheet.formula("gpus_in_reach",
                "n_group > 1 ? min(nodes_reached * expert_gpus_per_node,"
                " max(topk_group, topk_group * ep / n_group))"
                " : nodes_reached * expert_gpus_per_node",
                "",
                "of a token: those of the nodes, and of the groups of experts, that it may reach");
  sheet.formula("gpus_reached", "gpus_in_reach * (1 - (1 - 1 / gpus_in_reach) ^ top_k)", "",
                "by a token: different GPUs among those in reach");
  sheet.formula("dispatch_nic_bytes",
                "tokens_per_micro_batch * nodes_reached * remote_share * dispatch_bytes", "B",
                "sent by one GPU for one layer and micro-batch");
  sheet.formula("combine_nic_bytes",
                "tokens_per_micro_batch * nodes_reached * remote_share * combine_bytes", "B",
                "the same way back");
  sheet.formula("nvlink_bytes",
                "tokens_per_micro_batch * gpus_reached * (expert_gpus_per_node - 1)"
                " / expert_gpus_per_node * (dispatch_bytes + combine_bytes)",
                "B", "both, on the leg inside nodes");
  sheet.formula("nic_seconds_per_layer", "(dispatch_nic_bytes + combine_nic_bytes) / nic_bandwidth",
                "s", "one layer forward, between nodes");
  sheet.formula("nvlink_seconds_per_layer", "nvlink_bytes / nvlink_bandwidth", "s",
                "one layer forward, inside nodes");
  sheet.formula("all_to_all_seconds_per_layer",
                "max(nic_seconds_per_layer, nvlink_seconds_per_layer)", "s",
                "forwarding runs while the network delivers: the slower leg counts");
}

}  // namespace

void add_traffic(Worksheet& sheet) {
  sheet.section("traffic", "Traffic of one GPU");
  add_all_to_all(sheet);
  sheet.formula("pipeline_bytes", "pp > 1 ? tokens_per_micro_batch * d_model * 2 : 0", "B",
                "one micro-batch over one stage boundary, each direction, BF16");
  sheet.formula("pipeline_seconds", "pipeline_bytes / nic_bandwidth", "s",
                "one hop, beside computation");
  sheet.formula("expert_group", "expert_replicas * parameter_copies", "",
                "GPUs that hold the same experts");
  sheet.formula("dense_group", "replicas * parameter_copies", "",
                "GPUs that hold the same other parameters");
  sheet.formula("synchronised_bytes_per_parameter", "4 + (uses_fp8 ? 1 : 2)", "B",
                "FP32 gradient reduce-scattered, working weight all-gathered");
  sheet.formula("data_parallel_bytes",
                "synchronised_bytes_per_parameter"
                " * (expert_parameters_per_gpu * (expert_group - 1) / expert_group"
                " + other_parameters_per_gpu * (dense_group - 1) / dense_group)",
                "B", "each step");
  sheet.formula("data_parallel_bandwidth",
                "dense_group <= gpus_per_node ? nvlink_bandwidth : nic_bandwidth", "B/s",
                "NVLink where all GPUs with the same stage stand in one domain");
  sheet.formula("data_parallel_seconds", "data_parallel_bytes / data_parallel_bandwidth", "s",
                "each step");
}

}  // namespace hadal
