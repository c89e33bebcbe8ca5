#include "hadal/plan/layout.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/nearest.h"
#include "hadal/schedule/schedule_check.h"

namespace hadal {
namespace {

constexpr int64_t kMaxDegree = int64_t{1} << 24;
constexpr int64_t kMaxSimulated = int64_t{1} << 21;  // chunks of one pipeline: a second or two

int64_t degree(const std::string& key, const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(
      error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= kMaxDegree,
      {.place = "{layout}",
       .field = key,
       .problem = "not a count",
       .found = in_quotes(text),
       .expected = {"1 to ", kMaxDegree}});
  return value;
}

size_t choice(const std::string& key, const std::string& text,
              const std::vector<std::string>& allowed) {
  const auto found = std::find(allowed.begin(), allowed.end(), text);
  std::string list;
  for (const std::string& each : allowed) list += (list.empty() ? "" : ", ") + each;
  require(found != allowed.end(), {.place = "{layout}",
                                   .field = key,
                                   .problem = "unknown value",
                                   .found = in_quotes(text),
                                   .expected = list,
                                   .advice = did_you_mean(text, allowed)});
  return static_cast<size_t>(found - allowed.begin());
}

const std::vector<std::string>& precision_names() {
  static const std::vector<std::string> names = {"bf16", "fp8"};
  return names;
}

// Without the place.
Refusal setting_problem(const Layout& layout, const LayoutFacts& facts) {
  if (layout.pp > facts.n_layers) {
    return Complaint{.field = "pp",
                     .problem = "more stages than layers",
                     .found = layout.pp,
                     .expected = {"at most ", facts.n_layers}};
  }
  const bool interleaved = layout.schedule == ScheduleKind::kInterleaved;
  if (interleaved && layout.pp % layout.stages_per_rank != 0) {
    return Complaint{.field = "stages-per-rank",
                     .problem = "the stages do not divide into ranks",
                     .found = layout.stages_per_rank,
                     .expected = {"a divisor of ", layout.pp, " stages"}};
  }
  const std::string& schedule = schedule_names()[static_cast<size_t>(layout.schedule)];
  if (mirrors_stages(layout.schedule) && layout.pp % 2 != 0) {
    return Complaint{.field = "pp",
                     .problem = {schedule, " pairs the stages"},
                     .found = layout.pp,
                     .expected = "an even number",
                     .advice = "use one more or fewer, or schedule=1f1b"};
  }
  const int64_t ranks = pipeline_ranks(layout);
  if (ranks > facts.gpus || facts.gpus % ranks != 0) {
    return Complaint{.field = "pp",
                     .problem = "the GPUs do not divide into pipelines",
                     .found = {ranks, " ranks"},
                     .expected = {"a divisor of ", facts.gpus, " GPUs"}};
  }
  const int64_t replicas = facts.gpus / ranks;
  if (layout.ep > 1 && !facts.has_moe_layers) {
    return Complaint{
        .field = "ep", .problem = "the model has no experts", .found = layout.ep, .expected = "1"};
  }
  if (facts.n_routed_experts % layout.ep != 0 && facts.has_moe_layers) {
    return Complaint{.field = "ep",
                     .problem = "the experts do not divide",
                     .found = layout.ep,
                     .expected = {"a divisor of ", facts.n_routed_experts, " experts"}};
  }
  if (layout.ep > replicas || replicas % layout.ep != 0) {
    return Complaint{.field = "ep",
                     .problem = "pp x ep does not fill the cluster",
                     .found = {"PP ", ranks, " x EP ", layout.ep},
                     .expected = {"EP to divide ", replicas, " replicas on ", facts.gpus, " GPUs"}};
  }
  const int64_t node = facts.gpus_per_node;
  if (layout.ep > node ? layout.ep % node != 0 : node % layout.ep != 0) {
    return Complaint{.field = "ep",
                     .problem = "the group cuts a node",
                     .found = layout.ep,
                     .expected = {"a divisor or a multiple of ", node, " GPUs"}};
  }
  if (facts.batch_sequences % (replicas * layout.micro_batch_sequences) != 0) {
    return Complaint{.field = "micro-batch",
                     .problem = "the batch does not divide",
                     .found = {facts.batch_sequences, " sequences over ", replicas, " replicas x ",
                               layout.micro_batch_sequences},
                     .expected = "a multiple"};
  }
  if (layout.fp8 && !facts.gpu_has_fp8) {
    return Complaint{.field = "precision",
                     .problem = "the GPU has no FP8 units",
                     .found = "fp8",
                     .expected = "bf16"};
  }
  const int64_t count = micro_batches(layout, facts);
  if (count > kMaxSimulated || layout.pp * count > kMaxSimulated) {
    return Complaint{.field = "micro-batch",
                     .problem = "too many chunks to simulate in a moment",
                     .found = {layout.pp, " stages x ", count, " micro-batches"},
                     .expected = {"at most ", kMaxSimulated},
                     .advice = "use larger micro-batches or a smaller batch"};
  }
  try {
    ranks_of(layout.schedule, static_cast<int32_t>(layout.pp), static_cast<int32_t>(count),
             static_cast<int32_t>(layout.stages_per_rank));
  } catch (const ConfigError& error) {
    Refusal why = error;
    why.field = "schedule";  // its n_micro_batches is none of a layout's settings
    return why;
  }
  return {};
}

ScheduleKind schedule_of(const Worksheet& sheet) {
  const auto most = static_cast<int64_t>(schedule_names().size()) - 1;
  return static_cast<ScheduleKind>(whole_cell(sheet, "schedule", 0, most));
}

// How the schedule lays the stages on ranks: asked of schedule/, which alone knows its schedules.
void add_placement(Worksheet& sheet) {
  const std::vector<std::string> inputs = {"pp", "schedule", "interleaved_stages"};
  const auto asked = [&](const char* name, auto answer, const char* note) {
    sheet.computed(
        name, inputs,
        [answer](const Worksheet& s) { return static_cast<double>(answer(stage_placement(s))); },
        "", note);
  };
  asked(
      "stages_per_rank",
      [](const StagePlacement& s) { return stages_passed(s.schedule, s.stages_per_rank); },
      "a micro-batch passes: DualPipeV and ZBV fold the pipeline in two");
  asked(
      "stages_held", [](const StagePlacement& s) { return s.held_by(0).size(); },
      "on one rank: DualPipe holds every stage on two ranks");
  asked(
      "overlaps", [](const StagePlacement& s) { return pairs_chunks(s.schedule); },
      "1: F and B run as overlapped pairs");
  asked(
      "ends_meet",
      [](const StagePlacement& s) { return std::ranges::count(s.held_by(0), s.n_stages - 1) > 0; },
      "1: the first and the last stage are on one rank");
  asked(
      "most_chunks_stored",
      [](const StagePlacement& s) {
        return activation_bound(s.schedule, s.n_stages, s.stages_per_rank);
      },
      "whose activations a rank keeps while the pipeline is full (docs/schedules.md)");
  sheet.formula("pipeline_ranks", "pp / stages_per_rank", "", "GPUs of one pipeline");
  sheet.formula("parameter_copies", "stages_held / stages_per_rank", "", "of every stage");
}

}  // namespace

StagePlacement stage_placement(const Worksheet& sheet) {
  StagePlacement placement;
  placement.schedule = schedule_of(sheet);
  placement.n_stages = static_cast<int32_t>(whole_cell(sheet, "pp", 1, kMaxDegree));
  const int64_t most =
      placement.schedule == ScheduleKind::kInterleaved ? placement.n_stages : kMaxDegree;
  placement.stages_per_rank =
      static_cast<int32_t>(whole_cell(sheet, "interleaved_stages", 1, most));
  return placement;
}

const std::vector<std::string>& recompute_names() {
  static const std::vector<std::string> names = {"none", "selective", "full"};
  return names;
}

Layout parse_layout(const std::string& text, const Layout& base) {
  Layout layout = base;
  const std::vector<std::string> keys = {"pp",        "ep",        "micro-batch",    "schedule",
                                         "recompute", "precision", "stages-per-rank"};
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    const size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    require(equals != std::string::npos && std::find(keys.begin(), keys.end(), key) != keys.end(),
            {.field = "layout",
             .problem = "not a setting",
             .found = in_quotes(part),
             .expected =
                 "pp=, ep=, micro-batch=, schedule=, recompute=, precision= or stages-per-rank=",
             .advice = did_you_mean(key, keys)});
    const std::string value = part.substr(equals + 1);
    if (key == "pp") layout.pp = degree(key, value);
    if (key == "ep") layout.ep = degree(key, value);
    if (key == "micro-batch") layout.micro_batch_sequences = degree(key, value);
    if (key == "schedule") {
      layout.schedule = static_cast<ScheduleKind>(choice(key, value, schedule_names()));
    }
    if (key == "recompute") {
      layout.recompute = static_cast<Recompute>(choice(key, value, recompute_names()));
    }
    if (key == "stages-per-rank") layout.stages_per_rank = degree(key, value);
    if (key == "precision") layout.fp8 = choice(key, value, precision_names()) == 1;
  }
  return layout;
}

std::string layout_text(const Layout& layout) {
  return concat("pp=", layout.pp, ",ep=", layout.ep, ",micro-batch=", layout.micro_batch_sequences,
                ",schedule=", schedule_names()[static_cast<size_t>(layout.schedule)],
                ",recompute=", recompute_names()[static_cast<size_t>(layout.recompute)],
                ",precision=", layout.fp8 ? "fp8" : "bf16",
                layout.schedule == ScheduleKind::kInterleaved
                    ? concat(",stages-per-rank=", layout.stages_per_rank)
                    : "");
}

int64_t pipeline_ranks(const Layout& layout) {
  return layout.pp / stages_passed(layout.schedule, static_cast<int32_t>(layout.stages_per_rank));
}

int64_t micro_batches(const Layout& layout, const LayoutFacts& facts) {
  return facts.batch_sequences /
         (facts.gpus / pipeline_ranks(layout) * layout.micro_batch_sequences);
}

Refusal layout_problem(const Layout& layout, const LayoutFacts& facts) {
  const Refusal why = setting_problem(layout, facts);
  return why.empty() ? why : why.in("{layout}");
}

std::vector<int64_t> layers_of_stages(int64_t n_layers, int64_t n_stages, double head_layers) {
  const auto n = static_cast<size_t>(n_stages);
  std::vector<int64_t> layers(n, n_layers / n_stages);
  std::vector<double> weight(n, static_cast<double>(layers[0]));
  weight[n - 1] += head_layers;
  const auto move_layer = [&](size_t stage, int64_t by) {
    layers[stage] += by;
    weight[stage] += static_cast<double>(by);
  };
  // The lightest stage, the one nearest to the middle first.
  const auto lightest = [&] {
    size_t best = n / 2;
    for (size_t step = 1; step <= n; ++step) {
      for (const size_t stage : {n / 2 - step, n / 2 + step}) {  // wraps below 0: out of range
        if (stage < n && weight[stage] < weight[best] - 1e-9) best = stage;
      }
    }
    return best;
  };
  for (int64_t left = n_layers % n_stages; left > 0; --left) move_layer(lightest(), 1);
  // The head may be worth several layers: hand over as long as the heaviest gets lighter.
  while (layers[n - 1] > 0 && weight[lightest()] + 1 < weight[n - 1]) {
    const size_t stage = lightest();
    move_layer(n - 1, -1);
    move_layer(stage, 1);
  }
  return layers;
}

void add_layout(Worksheet& sheet, const Layout& layout, Origin origin, const std::string& source) {
  sheet.section("layout", "Layout: " + layout_text(layout));
  const auto cell = [&](const char* name, int64_t value, const char* what) {
    sheet.input(name, static_cast<double>(value), "", origin, concat(what, "; ", source));
  };
  cell("pp", layout.pp, "pipeline stages");
  cell("ep", layout.ep, "GPUs that share a layer's experts");
  cell("micro_batch_sequences", layout.micro_batch_sequences, "sequences of one micro-batch");
  std::string schedules;
  int number = 0;
  for (const std::string& name : schedule_names()) {
    schedules += concat(schedules.empty() ? "0: " : concat(", ", ++number, ": "), name);
  }
  cell("schedule", static_cast<int64_t>(layout.schedule), schedules.c_str());
  cell("interleaved_stages", layout.stages_per_rank, "stages of a rank, if interleaved");
  cell("recompute", static_cast<int64_t>(layout.recompute), "0: none, 1: selective, 2: full");
  cell("uses_fp8", layout.fp8 ? 1 : 0, "1: Linears in FP8, 0: all in BF16");
  add_placement(sheet);
  sheet.formula("replicas", "gpus / pipeline_ranks", "", "data-parallel pipelines");
  sheet.formula("expert_replicas", "replicas / ep", "", "copies of each expert over replicas");
  sheet.formula("micro_batches", "batch_sequences / (replicas * micro_batch_sequences)", "",
                "of one replica and step, both directions together");
  sheet.formula("tokens_per_micro_batch", "micro_batch_sequences * sequence_length", "tokens", "");
  sheet.formula("in_flight_chunks", "min(micro_batches * stages_per_rank, most_chunks_stored)", "",
                "activations a rank keeps at most (docs/schedules.md)");
}

void set_layout(Worksheet& sheet, const Layout& layout) {
  sheet.set("pp", static_cast<double>(layout.pp));
  sheet.set("ep", static_cast<double>(layout.ep));
  sheet.set("micro_batch_sequences", static_cast<double>(layout.micro_batch_sequences));
  sheet.set("schedule", static_cast<double>(layout.schedule));
  sheet.set("recompute", static_cast<double>(layout.recompute));
  sheet.set("uses_fp8", layout.fp8 ? 1 : 0);
  sheet.set("interleaved_stages", static_cast<double>(layout.stages_per_rank));
}

int64_t whole_cell(const Worksheet& sheet, const std::string& name, int64_t least, int64_t most) {
  const double value = sheet.value(name);
  require(value == std::floor(value) && value >= static_cast<double>(least) &&
              value <= static_cast<double>(most),
          {.field = name,
           .problem = "not a whole number in range",
           .found = value,
           .expected = {least, " to ", most}});
  return static_cast<int64_t>(value);
}

Layout layout_of(const Worksheet& sheet) {
  Layout layout;
  layout.pp = whole_cell(sheet, "pp", 1, kMaxDegree);
  layout.ep = whole_cell(sheet, "ep", 1, kMaxDegree);
  layout.micro_batch_sequences = whole_cell(sheet, "micro_batch_sequences", 1, kMaxDegree);
  layout.schedule = schedule_of(sheet);
  layout.recompute = static_cast<Recompute>(whole_cell(sheet, "recompute", 0, 2));
  layout.fp8 = whole_cell(sheet, "uses_fp8", 0, 1) == 1;
  layout.stages_per_rank = whole_cell(sheet, "interleaved_stages", 1, kMaxDegree);
  return layout;
}

LayoutFacts layout_facts(const Worksheet& sheet) {
  LayoutFacts facts;
  facts.gpus = whole_cell(sheet, "gpus", 1, kMaxDegree);
  facts.gpus_per_node = whole_cell(sheet, "gpus_per_node", 1, kMaxDegree);
  facts.n_layers = whole_cell(sheet, "n_layers", 1, kMaxDegree);
  facts.n_routed_experts = whole_cell(sheet, "n_routed_experts", 0, kMaxDegree);
  facts.has_moe_layers = sheet.value("n_moe_layers") > 0;
  facts.gpu_has_fp8 = sheet.value("gpu_fp8_flops") > 0;
  whole_cell(sheet, "sequence_length", 1, int64_t{1} << 30);
  facts.batch_sequences = whole_cell(sheet, "batch_sequences", 1, int64_t{1} << 40);
  return facts;
}

}  // namespace hadal
