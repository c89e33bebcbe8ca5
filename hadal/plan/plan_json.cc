// The JSON document of a plan.
#include "hadal/plan/plan.h"

namespace hadal {
namespace {

Json layout_json(const Layout& layout) {
  Json json;
  json["pp"] = layout.pp;
  json["ep"] = layout.ep;
  json["micro_batch"] = layout.micro_batch_sequences;
  json["schedule"] = schedule_names()[static_cast<size_t>(layout.schedule)];
  if (layout.schedule == ScheduleKind::kInterleaved) {
    json["stages_per_rank"] = layout.stages_per_rank;
  }
  json["recompute"] = recompute_names()[static_cast<size_t>(layout.recompute)];
  json["precision"] = layout.fp8 ? "fp8" : "bf16";
  json["text"] = layout_text(layout);
  return json;
}

Json plain_texts(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(with_names(text, plain_name));
  return list;
}

Json search_json(const LayoutSearch& search) {
  Json fitting = Json::array(), rejected = Json::array();
  for (const LayoutScore& score : search.fitting) {
    Json one;
    one["layout"] = layout_json(score.layout);
    one["memory_per_gpu_gb"] = score.memory / 1e9;
    one["step_seconds_at_least"] = score.bound_seconds;
    const bool simulated = score.step_seconds > 0;
    one["step_seconds"] = simulated ? Json(score.step_seconds) : Json();
    one["bubble_share"] = simulated ? Json(score.bubble_share) : Json();
    one["mfu"] = simulated ? Json(score.mfu) : Json();
    one["gpu_hours_per_trillion_tokens"] =
        simulated ? Json(score.gpu_hours_per_trillion_tokens) : Json();
    fitting.push_back(std::move(one));
  }
  for (const RejectedLayout& each : search.rejected) {
    Json one;
    one["layout"] = layout_json(each.layout);
    one["whatever"] = each.varies;
    one["kind"] = each.kind;
    one["reason"] = each.why.line();
    rejected.push_back(std::move(one));
  }
  Json json;
  json["simulated"] = static_cast<int64_t>(search.n_simulated);
  json["fitting"] = std::move(fitting);
  json["rejected"] = std::move(rejected);
  return json;
}

Json cells_json(const Worksheet& sheet) {
  Json cells = Json::array();
  for (const Worksheet::Cell& cell : sheet.cells()) {
    Json one;
    one["name"] = cell.name;
    one["section"] = cell.section;
    one["value"] = sheet.value(cell.name);
    one["unit"] = cell.unit;
    one["origin"] = origin_name(cell.origin);
    if (!cell.formula.empty()) one["formula"] = cell.formula;
    one["note"] = cell.note;
    cells.push_back(std::move(one));
  }
  return cells;
}

Json stages_json(const Worksheet& sheet) {
  Json stages = Json::array();
  for (const std::string stage : {"pretraining", "context_extension", "post_training"}) {
    Json one;
    one["name"] = stage;
    one["gpu_hours"] = sheet.value("gpu_hours_" + stage);
    one["cost_usd"] = sheet.value("cost_" + stage);
    one["days"] = sheet.value("gpu_hours_" + stage) / sheet.value("gpus") / 24;
    stages.push_back(std::move(one));
  }
  return stages;
}

Json published_json(const Worksheet& sheet) {
  Json list = Json::array();
  for (const Worksheet::Published& each : sheet.published_values()) {
    Json one;
    one["name"] = each.name;
    one["value"] = sheet.value(each.name);
    one["published"] = each.value;
    one["deviation"] = each.value != 0 ? sheet.value(each.name) / each.value - 1 : 0.0;
    one["source"] = each.source;
    one["calibrated"] = each.calibrated;
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

Json plan_json(const PlanRequest& request, const Plan& plan) {
  const Worksheet& sheet = plan.sheet;
  Json json;
  json["model"] = request.model_name;
  json["cluster"] = request.cluster.name;
  json["layout"] = layout_json(plan.layout);
  json["layout_source"] = plan.layout_source;
  for (const char* name : {"gpus", "tokens", "gpu_hours", "gpu_hours_per_trillion_tokens",
                           "cost_usd", "days", "days_per_trillion_tokens", "step_seconds",
                           "tokens_per_second", "mfu", "mfu_full", "mfu_fp8", "bubble_share"}) {
    json[name] = sheet.value(name);
  }
  json["memory_per_gpu_gb"] = sheet.value("memory_per_gpu") / 1e9;
  json["fits"] = sheet.value("memory_headroom") >= 0;
  for (const char* name : {"parameters_total", "parameters_active", "parameters_mtp"}) {
    json[name] = static_cast<int64_t>(sheet.value(name));
  }
  json["stages"] = stages_json(sheet);
  json["published"] = published_json(sheet);
  json["limits"] = Json::array_of(plan.limits);
  json["warnings"] = plain_texts(plan.warnings);
  json["notes"] = plain_texts(plan.notes);
  if (plan.search) json["search"] = search_json(*plan.search);
  json["cells"] = cells_json(sheet);
  return json;
}

}  // namespace hadal
