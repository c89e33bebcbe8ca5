#include "hadal/plan_text/plan_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"

namespace hadal::cli {
namespace {

struct Row {
  const char *cell, *label;
};
struct CellTable {
  const char* title;
  std::vector<Row> rows;
};

// What most readers ask a plan; --cells shows the rest.
const std::vector<CellTable>& tables() {
  static const std::vector<CellTable> list = {
      {"Model",
       {{"parameters_total", "parameters"},
        {"parameters_routed_experts", "  routed experts"},
        {"parameters_attention", "  attention"},
        {"parameters_shared_experts", "  shared experts"},
        {"parameters_dense_ffn", "  dense FFN"},
        {"parameters_embedding", "  embedding"},
        {"parameters_head", "  head"},
        {"parameters_router", "  router"},
        {"parameters_norms", "  norms"},
        {"parameters_active", "activated per token"},
        {"parameters_mtp", "MTP, counted apart"},
        {"kv_bytes_per_token", "cache"}}},
      {"Work per token, training",
       {{"flops_per_token", "counted (causal attention)"},
        {"flops_linear_per_token", "  weights"},
        {"flops_attention_causal_per_token", "  attention core"},
        {"flops_per_token_full", "counted with full attention"},
        {"flops_mtp_per_token", "MTP, not counted"},
        {"flops_recompute_per_token", "recomputation, not counted"}}},
      {"Layout",
       {{"pipeline_ranks", "GPUs of a pipeline"},
        {"replicas", "replicas"},
        {"micro_batches", "micro-batches per replica and step"},
        {"expert_replicas", "copies of an expert over replicas"},
        {"parameter_copies", "copies of a stage in a pipeline"}}},
      {"Memory per GPU, the rank with most in its layers",
       {{"memory_expert_weights", "weights of experts"},
        {"memory_other_weights", "other weights"},
        {"memory_gradients", "gradients"},
        {"memory_optimizer_experts", "ZeRO-1 states of experts"},
        {"memory_optimizer_others", "other ZeRO-1 states"},
        {"memory_activations", "activations in flight"},
        {"memory_working_set", "working set of a layer"},
        {"memory_buffers", "communication buffers"},
        {"memory_reserved", "driver and fragmentation"},
        {"memory_inner_rank", "sum"},
        {"memory_end_rank", "an end rank (embedding, head, MTP)"},
        {"host_memory_ema", "EMA, in host memory per node"}}},
      {"Traffic per GPU",
       {{"dispatch_nic_bytes", "dispatch, a layer and micro-batch"},
        {"combine_nic_bytes", "combine"},
        {"nvlink_bytes", "both, over NVLink"},
        {"all_to_all_seconds_per_layer", "all-to-all of a layer forward"},
        {"pipeline_bytes", "pipeline, a micro-batch and hop"},
        {"data_parallel_bytes", "gradients and weights, a step"}}},
      {"One step",
       {{"forward_seconds", "F of a chunk"},
        {"backward_input_seconds", "B_in"},
        {"weight_seconds", "W"},
        {"pair_seconds", "F&B"},
        {"busy_seconds", "busy"},
        {"bubble_seconds", "bubble (simulated)"},
        {"stall_seconds", "stalls"},
        {"optimizer_seconds", "optimizer"},
        {"step_seconds", "step"},
        {"tokens_per_second", "throughput"},
        {"flops_per_gpu", "per GPU"},
        {"mfu", "MFU, BF16 peak"},
        {"mfu_full", "MFU with full attention"},
        {"mfu_fp8", "MFU, FP8 peak"}}},
      {"Serving, prefill and decode",
       {{"prefill_gpus", "GPUs of a prefill unit"},
        {"prefill_weight_bytes", "weights per prefill GPU"},
        {"prefill_tokens_per_s_per_node", "prompt tokens per node"},
        {"decode_gpus", "GPUs of a decode unit"},
        {"decode_weight_bytes", "weights per decode GPU"},
        {"decode_batch", "sequences per GPU"},
        {"decode_cache_bytes", "their cache"},
        {"decode_tokens_per_s_per_user", "tokens per user"},
        {"decode_tokens_per_s_per_node", "output tokens per node"},
        {"day_cost", "published day: cost"},
        {"day_income", "  theoretical income"},
        {"day_margin", "  margin over cost"}}},
  };
  return list;
}

std::string padded(const std::string& text, size_t width, bool right = false) {
  const std::string pad(text.size() < width ? width - text.size() : 0, ' ');
  return right ? pad + text : text + pad;
}

// Ours rounded, or cut, to as many digits as were published.
bool agrees_to_the_digits(double value, double published) {
  const std::string text = printed("%.6g", published);
  std::string digits;
  for (const char c : text.substr(0, text.find('e'))) {
    if (c >= '0' && c <= '9') digits += c;
  }
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
  while (digits.size() > 1 && digits.front() == '0') digits.erase(0, 1);
  const double unit = std::pow(
      10, std::floor(std::log10(std::abs(published))) + 1 - static_cast<double>(digits.size()));
  return std::abs(value - published) <= unit / 2 ||
         std::abs(std::trunc(value / unit) * unit - published) < unit * 1e-6;
}

std::string published_text(const Worksheet& sheet) {
  if (sheet.published_values().empty()) return {};
  std::string text = "\nAgainst publications\n";
  text += "  " + padded("", 36) + padded("here", 20, true) + padded("published", 20, true) +
          "  deviation\n";
  bool calibrated = false;
  for (const Worksheet::Published& each : sheet.published_values()) {
    const std::string unit = sheet.cell(each.name).unit;
    const double value = sheet.value(each.name);
    const std::string deviation = printed("%+6.2f %%", 100 * (value / each.value - 1));
    text += "  " + padded(each.name, 36) + padded(human_quantity(value, unit), 20, true) +
            padded(human_quantity(each.value, unit), 20, true) + "  " + deviation +
            (std::abs(value / each.value - 1) > 0.01 && agrees_to_the_digits(value, each.value)
                 ? " (equal in the digits given)"
                 : "") +
            (each.calibrated ? "  calibrated\n" : "\n");
    calibrated = calibrated || each.calibrated;
  }
  if (calibrated) {
    text +=
        "  calibrated: follows from efficiencies chosen to meet it; evidence are the other rows\n";
  }
  return text;
}

std::string list_text(const char* title, const std::vector<std::string>& lines,
                      const NameOf& option_of) {
  if (lines.empty()) return {};
  std::string text = concat("\n", title, "\n");
  for (const std::string& line : lines) text += "  " + with_names(line, option_of) + "\n";
  return text;
}

std::string stage_line(const Worksheet& s, const char* label, const char* stage) {
  const double hours = s.value(concat("gpu_hours_", stage));
  return "  " + padded(label, 22) + padded(human_quantity(hours, "GPU-hours"), 20, true) +
         padded(human_quantity(s.value(concat("cost_", stage)), "USD"), 18, true) +
         padded(human_quantity(hours / s.value("gpus") / 24, "days"), 18, true) + "\n";
}

std::string stages_text(const Worksheet& s) {
  std::string text = "\nTime and money\n";
  text += stage_line(s, "pre-training", "pretraining");
  text += stage_line(s, "context extension", "context_extension");
  text += stage_line(s, "post-training", "post_training");
  text += "  " + padded("all", 22) +
          padded(human_quantity(s.value("gpu_hours"), "GPU-hours"), 20, true) +
          padded(human_quantity(s.value("cost_usd"), "USD"), 18, true) +
          padded(human_quantity(s.value("days"), "days"), 18, true) + "\n";
  text += "  " + padded("per trillion tokens", 22) +
          padded(human_quantity(s.value("gpu_hours_per_trillion_tokens"), "GPU-hours"), 20, true) +
          padded("", 18) +
          padded(human_quantity(s.value("days_per_trillion_tokens"), "days"), 18, true) + "\n";
  return text;
}

}  // namespace

std::string plan_text(const PlanRequest& request, const Plan& plan, const NameOf& option_of) {
  const Worksheet& s = plan.sheet;
  std::string text = concat(request.model_name, " on ", request.cluster.name, ": ", s.value("gpus"),
                            " GPUs, ", human_quantity(s.value("tokens"), "tokens"), "\nlayout ",
                            layout_text(plan.layout), " (", plan.layout_source, ")\n");
  text += stages_text(s);
  for (const CellTable& table : tables()) {
    std::string body;
    for (const Row& row : table.rows) {
      if (!s.has(row.cell)) continue;
      body += "  " + padded(row.label, 38) +
              padded(human_quantity(s.value(row.cell), s.cell(row.cell).unit), 24, true) + "\n";
    }
    if (!body.empty()) text += concat("\n", table.title, "\n", body);
  }
  text += published_text(s);
  text += list_text("What takes the time and the room", plan.limits, option_of);
  text += list_text("Notes", plan.notes, option_of);
  text += list_text("Warnings", plan.warnings, option_of);
  text += "\nEvery number has a derivation: --explain NAME; --cells lists the names.\n";
  return text;
}

std::string all_cells_text(const Worksheet& sheet) {
  std::string text, section;
  size_t width = 0;
  for (const Worksheet::Cell& cell : sheet.cells()) width = std::max(width, cell.name.size());
  std::map<std::string, std::string> titles;
  for (const Worksheet::Section& each : sheet.sections()) titles[each.key] = each.title;
  for (const Worksheet::Cell& cell : sheet.cells()) {
    if (cell.section != section) {
      section = cell.section;
      text += concat(text.empty() ? "" : "\n", titles[section], "\n");
    }
    text += "  " + padded(cell.name, width) + "  " +
            padded(human_quantity(sheet.value(cell.name), cell.unit), 26, true) + "  " +
            padded(origin_name(cell.origin), 9) + "  " +
            (cell.formula.empty() ? cell.note : "= " + cell.formula) + "\n";
  }
  return text;
}

namespace {

// "zb1p", "interleaved/4"
std::string schedule_column(const Layout& layout) {
  const std::string& name = schedule_names()[static_cast<size_t>(layout.schedule)];
  if (layout.schedule != ScheduleKind::kInterleaved) return name;
  return concat(name, "/", layout.stages_per_rank);
}

}  // namespace

std::string search_text(const LayoutSearch& search, size_t n_best, const NameOf& option_of) {
  std::string text = concat(search.fitting.size(), " layouts fit (", search.n_simulated,
                            " simulated, the others are slower by their bound); the best:\n");
  text +=
      "   pp  ep  micro-batch  schedule       recompute      memory    bubble       step       MFU "
      "  "
      "GPU-hours/T\n";
  for (size_t i = 0; i < std::min(n_best, search.n_simulated); ++i) {
    const LayoutScore& score = search.fitting[i];
    char line[200];
    std::snprintf(line, sizeof line,
                  "  %3lld %3lld  %11lld  %-13s  %-9s  %10s  %8s  %9s  %8s  %12s\n",
                  static_cast<long long>(score.layout.pp), static_cast<long long>(score.layout.ep),
                  static_cast<long long>(score.layout.micro_batch_sequences),
                  schedule_column(score.layout).c_str(),
                  recompute_names()[static_cast<size_t>(score.layout.recompute)].c_str(),
                  human_quantity(score.memory, "B").c_str(),
                  human_quantity(score.bubble_share, "fraction").c_str(),
                  human_quantity(score.step_seconds, "s").c_str(),
                  human_quantity(score.mfu, "fraction").c_str(),
                  human_quantity(score.gpu_hours_per_trillion_tokens, "").c_str());
    text += line;
  }
  std::map<std::string, std::pair<size_t, const RejectedLayout*>> kinds;
  for (const RejectedLayout& each : search.rejected) {
    auto& [count, example] = kinds[each.kind];
    if (count++ == 0) example = &each;
  }
  text += concat("\nOut, with an example each (--json lists all ", search.rejected.size(), ")\n");
  for (const auto& [kind, value] : kinds) {
    text += concat("  ", padded(std::to_string(value.first), 6, true), "  ", kind, "\n",
                   "          ", layout_text(value.second->layout),
                   value.second->varies.empty() ? "" : " (whatever " + value.second->varies + ")",
                   "\n          ", value.second->why.line(option_of), "\n");
  }
  return text;
}

}  // namespace hadal::cli
