// plan/layout.h: how a model is laid over a cluster, and which layouts are legal.
//
// Rank r of a pipeline, data-parallel replica and expert-parallel group are the three coordinates
// of a GPU: gpus = pipeline ranks x replicas, and each expert-parallel group is `ep` replicas wide
// at one stage. DeepSeek-V3: PP 16, EP 64 over 8 nodes, 128 replicas (arXiv:2412.19437).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/model/config.h"
#include "hadal/plan/worksheet.h"
#include "hadal/schedule/schedule.h"

namespace hadal {

// Selective: what DeepSeek-V3 recomputes (RMSNorm, MLA up-projections, SwiGLU output). Full: a
// layer keeps its input only.
enum class Recompute : uint8_t { kNone, kSelective, kFull };
const std::vector<std::string>& recompute_names();

struct Layout {
  int64_t pp = 16;  // stages
  int64_t ep = 64;  // GPUs that share a layer's experts
  int64_t micro_batch_sequences = 1;
  ScheduleKind schedule = ScheduleKind::kDualPipe;
  Recompute recompute = Recompute::kSelective;
  bool fp8 = true;
  int64_t stages_per_rank = kInterleavedStages;  // V; of interleaved alone
  bool operator==(const Layout&) const = default;
};

// "pp=16,ep=64,micro-batch=1,schedule=dualpipe,recompute=selective,precision=fp8,
// stages-per-rank=2": what is not named stays as in `base`.
Layout parse_layout(const std::string& text, const Layout& base);
std::string layout_text(const Layout& layout);  // parse_layout reads it back

// What a layout has to fit. `batch_sequences` per optimizer step.
struct LayoutFacts {
  int64_t gpus = 0, gpus_per_node = 0;
  int64_t n_layers = 0, n_routed_experts = 0;
  bool has_moe_layers = true, gpu_has_fp8 = true;
  int64_t batch_sequences = 0;
};

// Empty when legal, else the first reason; its field is the key of parse_layout that is wrong:
// "ep".
Refusal layout_problem(const Layout& layout, const LayoutFacts& facts);

// REQUIRES a legal layout.
int64_t pipeline_ranks(const Layout& layout);
int64_t micro_batches(const Layout& layout, const LayoutFacts& facts);  // per replica and step

// Decoder layers of each stage, as even as possible when the head on the last stage weighs as much
// as `head_layers` layers; what is left over goes to the middle, so that the ends, with embedding,
// head and MTP, have fewer. How DeepSeek-V3's were divided is not published.
std::vector<int64_t> layers_of_stages(int64_t n_layers, int64_t n_stages, double head_layers);

// Section "layout": its inputs, and set_layout to change them later.
void add_layout(Worksheet& sheet, const Layout& layout, Origin origin, const std::string& source);
void set_layout(Worksheet& sheet, const Layout& layout);
// The stages, and the schedule that lays them on ranks.
struct StagePlacement {
  ScheduleKind schedule = ScheduleKind::kDualPipe;
  int32_t n_stages = 0, stages_per_rank = kInterleavedStages;
  int32_t n_ranks() const { return n_stages / stages_passed(schedule, stages_per_rank); }
  std::vector<int32_t> held_by(int32_t rank) const {
    return held_stages(schedule, n_stages, rank, stages_per_rank);
  }
};
// What the sheet's cells say. ConfigError for what is no count or no schedule.
StagePlacement stage_placement(const Worksheet& sheet);
// A cell that counts or selects. ConfigError if it is not a whole number from `least` to `most`.
int64_t whole_cell(const Worksheet& sheet, const std::string& name, int64_t least, int64_t most);
// The layout that the sheet's cells say, after --set. ConfigError for what is no layout.
Layout layout_of(const Worksheet& sheet);
LayoutFacts layout_facts(const Worksheet& sheet);

}  // namespace hadal
