// cli/cmd_pipeline.cc: `hadal pipeline`
#include <unistd.h>

#include <algorithm>

#include "hadal/cli/commands.h"
#include "hadal/cli/measured_pipeline.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/draw/timeline_svg.h"
#include "hadal/draw/timeline_text.h"
#include "hadal/io/atomic_write.h"
#include "hadal/pipeline/inputs.h"
#include "hadal/pipeline/timeline.h"
#include "hadal/pipeline/timeline_trace.h"
#include "hadal/plan_text/pipeline_report.h"
#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule_file.h"

namespace hadal::cli {
namespace {

struct PipelineOptions {
  std::string schedule = "dualpipe", schedule_file;
  int64_t stages = 8, ranks = 0, micro_batches = 0, stages_per_rank = kInterleavedStages;
  std::string forward, backward, weight, overlapped, comm, bytes, bandwidth;
  std::string layers, all_to_all, overlap_efficiency;
  bool blocking = false;
  std::string stage_times, measured, svg, zoom, trace, write_schedule;
  bool compare = false, actions = false;
};

void bind(Flags& flags, PipelineOptions& o) {
  flags.library_names({{"n_stages", "--stages"},
                       {"n_micro_batches", "--micro-batches"},
                       {"latency", "--comm"},
                       {"stages_per_rank", "--stages-per-rank"}});
  flags.example("hadal pipeline --schedule dualpipe --stages 8 --micro-batches 20",
                "the published example: makespan, bubble and why, for every rank");
  flags.example("hadal pipeline --stages 8 --micro-batches 20 --overlapped 2.4 --svg dualpipe.svg",
                "pairs that overlap well; a picture of it");
  flags.example("hadal pipeline --compare --stages 16 --micro-batches 64 --svg compare.svg",
                "the six schedules as a table and under each other");
  flags.example("hadal pipeline --stages 4 --micro-batches 8 --forward 1,1,1,1.6 --trace t.json",
                "a slow last stage; a trace for ui.perfetto.dev");
  flags.choice("schedule", o.schedule, schedule_names(), "order of the work");
  flags.option("stages", o.stages, "parts of the model; dualpipev and zbv put two on a rank");
  flags.option("stages-per-rank", o.stages_per_rank,
               "V, how many of them interleaved puts on a rank");
  flags.option(
      "ranks", o.ranks,
      "with --compare, in place of --stages: every schedule on so many ranks, the times those "
      "of a rank's share of the model");
  flags.option("micro-batches", o.micro_batches,
               "micro-batches of a step, all directions together; 0: about 2.5 per stage");
  flags.option("forward", o.forward,
               "time F of a chunk; one number, or one per stage as 1,1,1.5,1 (default: 1)");
  flags.option("backward", o.backward,
               "time B of a chunk's whole backward, weights included (default: 2)");
  flags.option("weight", o.weight, "time W of the weight part in B (default: 1)");
  flags.option("overlapped", o.overlapped,
               "time of an overlapped pair F&B (default: F + B, nothing gained)");
  flags.option("layers", o.layers,
               "layers of a stage, one number or one per stage: the times are then those of one "
               "layer (default: 1)");
  flags.option("all-to-all", o.all_to_all,
               "time of dispatch and combine, added to F and to B; in a pair it hides under the "
               "computation (default: 0)");
  flags.option("overlap-efficiency", o.overlap_efficiency,
               "with --all-to-all: share of it that a pair hides, 0 to 1 (default: 1)");
  flags.option("comm,--latency", o.comm,
               "time of a transfer between ranks, beside its bytes (default: 0)");
  flags.option("bytes", o.bytes, "bytes of a transfer (default: 0)");
  flags.option("bandwidth", o.bandwidth,
               "bytes per unit of time; one number, or one per pair of neighbouring ranks; 0: "
               "unlimited (default: 0)");
  flags.flag("blocking", o.blocking,
             "ranks wait for their transfers, which start when both sides are there");
  flags.option("stage-times", o.stage_times,
               "TOML or JSON file with forward, backward, weight, overlapped, layers, all_to_all, "
               "overlap_efficiency, latency, bytes, bandwidth, blocking; options go before it");
  flags.option(
      "measured", o.measured,
      "what a run recorded (parallel.trace of hadal train): what it waited for, its bubble "
      "beside the simulated one, and pictures of it");
  flags.flag("compare", o.compare, "all six schedules, and --schedule-file's");
  flags.option("schedule-file", o.schedule_file,
               "your own schedule (JSON); it is checked before it is simulated");
  flags.option("write-schedule", o.write_schedule, "write the schedule as such a file");
  flags.flag("actions", o.actions, "print every rank's list of actions");
  flags.option("svg", o.svg, "write a picture of the timeline");
  flags.option("zoom", o.zoom, "FROM:TO, the part of the time that the picture shows");
  flags.option("trace", o.trace, "write a trace for ui.perfetto.dev or chrome://tracing");
}

int32_t size_option(const char* option, int64_t value, int64_t most) {
  require(
      value >= 1 && value <= most,
      {.field = option, .problem = "out of range", .found = value, .expected = {"1 to ", most}});
  return static_cast<int32_t>(value);
}

int32_t stages_per_rank(const PipelineOptions& o) {
  return size_option("--stages-per-rank", o.stages_per_rank, 2 * int64_t{kMaxRanks});
}

PipelineInputs read_inputs(const PipelineOptions& o) {
  PipelineInputs inputs;
  if (!o.stage_times.empty()) read_pipeline_inputs(o.stage_times, inputs);
  if (!o.forward.empty()) inputs.forward = parse_times(o.forward, "--forward");
  if (!o.backward.empty()) inputs.backward = parse_times(o.backward, "--backward");
  if (!o.weight.empty()) inputs.weight = parse_times(o.weight, "--weight");
  if (!o.overlapped.empty()) inputs.overlapped = parse_time(o.overlapped, "--overlapped");
  if (!o.layers.empty()) inputs.layers = parse_times(o.layers, "--layers");
  if (!o.all_to_all.empty()) inputs.all_to_all = parse_times(o.all_to_all, "--all-to-all");
  if (!o.overlap_efficiency.empty()) {
    inputs.overlap_efficiency = parse_time(o.overlap_efficiency, "--overlap-efficiency");
  }
  if (!o.comm.empty()) inputs.latency = parse_time(o.comm, "--comm");
  if (!o.bytes.empty()) inputs.bytes = parse_time(o.bytes, "--bytes");
  if (!o.bandwidth.empty()) inputs.bandwidth = parse_times(o.bandwidth, "--bandwidth");
  inputs.blocking = inputs.blocking || o.blocking;
  return inputs;
}

std::optional<TimeWindow> zoom_of(const PipelineOptions& o) {
  if (o.zoom.empty()) return std::nullopt;
  const size_t colon = o.zoom.find(':');
  require(colon != std::string::npos, {.field = "--zoom",
                                       .problem = "not a part of the time",
                                       .found = o.zoom,
                                       .expected = "FROM:TO, as 10:40"});
  return TimeWindow{parse_time(o.zoom.substr(0, colon), "--zoom"),
                    parse_time(o.zoom.substr(colon + 1), "--zoom")};
}

// Throws when the schedule is wrong, after listing everything that is.
void refuse_violations(const std::string& source, const ScheduleCheck& check, Output& out) {
  if (check.ok()) return;
  Json document;
  document["checked"] = false;
  document["n_violations"] = check.n_violations;
  document["violations"] = Json::array_of(check.violations);
  if (out.json()) out.report(document);
  for (const std::string& violation : check.violations) out.text(violation + "\n");
  const std::string more = check.n_violations > 1
                               ? concat(" (and ", check.n_violations - 1, " more, listed above)")
                               : "";
  throw FormatError(concat(source, ": not a correct schedule: ", check.violations.front(), more));
}

PipelineResult finish(const PipelineOptions& o, PipelineSchedule schedule,
                      std::optional<ScheduleKind> kind, const std::string& source,
                      const PipelineInputs& inputs, Output& out) {
  PipelineResult result;
  result.schedule = std::move(schedule);
  const int32_t n_stages = result.schedule.n_stages;
  if (kind && o.ranks != 0) result.chunk = 1.0 / stages_passed(*kind, stages_per_rank(o));
  const PipelineTimes times =
      pipeline_times(inputs, n_stages, result.schedule.n_ranks, result.chunk);
  result.check = check_schedule(result.schedule, kind ? std::optional<int64_t>(activation_bound(
                                                            *kind, n_stages, stages_per_rank(o)))
                                                      : std::nullopt);
  refuse_violations(source, result.check, out);
  // The only reader of a long step's boxes is a picture.
  const bool pictures = !o.svg.empty() || !o.trace.empty();
  const bool short_enough = result.schedule.n_micro_batches <= terminal().columns;
  result.simulation = simulate(result.schedule, times,
                               pictures || short_enough ? Timeline::kKeep : Timeline::kDrop);
  if (kind) {
    result.formula =
        bubble_formula(*kind, n_stages, result.schedule.n_micro_batches, times, stages_per_rank(o));
  }
  return result;
}

// The sizes come from the options, or from the user's schedule.
struct Sizes {
  int32_t n_stages, n_micro_batches;
};

Sizes read_sizes(const PipelineOptions& o) {
  const bool by_ranks = o.ranks != 0;
  const int32_t n_stages = size_option(by_ranks ? "--ranks" : "--stages",
                                       by_ranks ? o.ranks : o.stages, 2 * int64_t{kMaxRanks});
  const int64_t usual = (5 * n_stages + 3) / 4 * 2;  // even, and enough for every schedule
  const int64_t n = o.micro_batches == 0 ? usual : o.micro_batches;
  return {n_stages, size_option("--micro-batches", n, kMaxChunks)};
}

PipelineSchedule schedule_of(ScheduleKind kind, const Sizes& sizes, const PipelineOptions& o) {
  const int32_t n = stages_per_rank(o), share = o.ranks != 0 ? stages_passed(kind, n) : 1;
  const int32_t n_stages =
      size_option("--stages-per-rank", int64_t{share} * sizes.n_stages, kMaxChunks);
  return make_schedule(kind, n_stages, sizes.n_micro_batches, n);
}

void print_actions(const PipelineSchedule& schedule, Output& out, Json& document) {
  Json lists = Json::array();
  for (size_t rank = 0; rank < schedule.ranks.size(); ++rank) {
    Json list = Json::array();
    std::string line = concat("rank ", rank);
    for (const Action& action : schedule.ranks[rank]) {
      const std::string text = to_text(action);
      line += (list.as_array().empty() ? ": " : ", ") + text;
      list.push_back(text);
    }
    out.text(line + "\n");
    lists.push_back(std::move(list));
  }
  document["actions"] = std::move(lists);
}

void write_result(const std::string& path, const char* what, const std::string& text, Output& out,
                  Json& document) {
  if (path.empty()) return;
  write_file_atomically(path, text);
  out.text(concat("wrote ", path, " (", what, ", ", human_bytes(static_cast<double>(text.size())),
                  ")\n"));
  document[what] = path;
}

int run_comparison(const PipelineOptions& o, const PipelineInputs& inputs, Output& out) {
  std::vector<PipelineResult> results;
  std::vector<RefusedSchedule> refused;
  Sizes sizes{};
  if (o.schedule_file.empty()) {
    sizes = read_sizes(o);
  } else {
    results.push_back(
        finish(o, read_schedule_file(o.schedule_file), std::nullopt, o.schedule_file, inputs, out));
    sizes = {results[0].schedule.n_stages, results[0].schedule.n_micro_batches};
  }
  Json list = Json::array();
  for (const std::string& name : schedule_names()) {
    try {
      const ScheduleKind kind = parse_schedule_kind(name);
      results.push_back(finish(o, schedule_of(kind, sizes, o), kind, name, inputs, out));
    } catch (const ConfigError& error) {
      refused.push_back({name, error});
    }
  }
  if (results.empty()) throw ConfigError(refused.front().why);
  Json document;
  document[o.ranks != 0 ? "ranks" : "stages"] = sizes.n_stages;
  document["micro_batches"] = sizes.n_micro_batches;
  for (const PipelineResult& result : results) list.push_back(pipeline_json(result));
  document["comparison"] = std::move(list);
  Json reasons = Json::array();
  for (const RefusedSchedule& schedule : refused) {
    Json entry;
    entry["schedule"] = schedule.name;
    entry["reason"] = schedule.why.line();
    reasons.push_back(std::move(entry));
  }
  document["not_possible"] = std::move(reasons);
  const char* unit = o.ranks != 0 ? "ranks" : "stages";
  out.text(concat(sizes.n_stages, " ", unit, ", ", sizes.n_micro_batches, " micro-batches\n",
                  inputs.summary(), "\n\n", comparison_table(results, refused, out.option_of())));
  if (!o.svg.empty()) {
    std::vector<SimulatedSchedule> shown;
    for (const PipelineResult& result : results) {
      shown.push_back({&result.schedule, &result.simulation});
    }
    const TimelineChart chart = pipeline_timeline(shown, inputs.summary());
    write_result(o.svg, "svg", timeline_svg(chart, zoom_of(o)), out, document);
  }
  if (out.json()) out.report(document);
  return 0;
}

bool colour_on_stdout() { return terminal().colour && isatty(STDOUT_FILENO) == 1; }

void refuse_useless_options(const PipelineOptions& o) {
  require(o.zoom.empty() || !o.svg.empty(), {.field = "--zoom",
                                             .problem = "there is no picture",
                                             .found = "no --svg",
                                             .advice = "add --svg FILE or leave --zoom out"});
  zoom_of(o);  // before anything is printed
  require(o.ranks == 0 || (o.compare && o.schedule_file.empty()),
          {.field = "--ranks",
           .problem = "sets the ranks of the schedules compared",
           .found = o.compare ? "--schedule-file" : "no --compare",
           .advice = "give --stages instead"});
  if (!o.compare) return;
  const char* alone = !o.trace.empty()            ? "--trace"
                      : !o.write_schedule.empty() ? "--write-schedule"
                      : o.actions                 ? "--actions"
                                                  : nullptr;
  require(alone == nullptr, {.field = alone ? alone : "",
                             .problem = "shows one schedule",
                             .found = "--compare beside it",
                             .advice = "leave one of them out"});
}

int run(const PipelineOptions& o, const CommonOptions&, Output& out) {
  refuse_useless_options(o);
  if (!o.measured.empty()) return show_measured({o.measured, o.svg, o.trace, zoom_of(o)}, out);
  const PipelineInputs inputs = read_inputs(o);
  if (o.compare) return run_comparison(o, inputs, out);
  PipelineResult result;
  if (o.schedule_file.empty()) {
    const Sizes sizes = read_sizes(o);
    const ScheduleKind kind = parse_schedule_kind(o.schedule);
    result = finish(o, schedule_of(kind, sizes, o), kind, o.schedule, inputs, out);
  } else {
    result =
        finish(o, read_schedule_file(o.schedule_file), std::nullopt, o.schedule_file, inputs, out);
  }
  Json document = pipeline_json(result);
  out.text(pipeline_table(result, inputs.summary()));
  const TimelineChart chart =
      pipeline_timeline({{&result.schedule, &result.simulation}}, inputs.summary());
  const std::string timeline = timeline_text(chart, terminal().columns, colour_on_stdout());
  if (!timeline.empty()) out.text("\n" + timeline);
  if (o.actions) print_actions(result.schedule, out, document);
  if (!o.svg.empty()) {
    write_result(o.svg, "svg", timeline_svg(chart, zoom_of(o)), out, document);
  }
  if (!o.trace.empty()) {
    write_result(o.trace, "trace", timeline_trace(result.schedule, result.simulation), out,
                 document);
  }
  if (!o.write_schedule.empty()) {
    write_result(o.write_schedule, "schedule_file", schedule_text(result.schedule), out, document);
  }
  if (out.json()) out.report(document);
  return 0;
}

}  // namespace

Command make_pipeline_command() {
  return define_command<PipelineOptions>(
      "pipeline", "simulate a pipeline schedule: time, bubble and why, memory, pictures", bind,
      run);
}

}  // namespace hadal::cli
