#include "hadal/cli/measured_pipeline.h"

#include <algorithm>

#include "hadal/core/number_text.h"
#include "hadal/draw/timeline_svg.h"
#include "hadal/io/atomic_write.h"
#include "hadal/parallel/overlap_report.h"

namespace hadal::cli {
namespace {

// One replica's pipeline in one step, and the same list in the same times simulated.
struct Comparison {
  int64_t step = 0;
  int32_t replica = 0;
  bool overlap = true;
  std::vector<RunTrace> ranks;
  Simulation measured, simulated;
};

std::vector<Comparison> comparisons(const RunRecord& record) {
  std::vector<Comparison> all;
  for (size_t i = 0; i < record.steps.size(); ++i) {
    for (int32_t replica = 0; replica < record.data; ++replica) {
      Comparison each{record.steps[i].step,        replica, record.steps[i].overlap,
                      record.pipeline(i, replica), {},      {}};
      each.measured = measured_timeline(each.ranks);
      each.simulated = simulate(record.schedule, measured_times(record.schedule, each.ranks));
      all.push_back(std::move(each));
    }
  }
  return all;
}

// The shortest: what disturbs a computer only makes steps longer.
const Comparison* shortest(const std::vector<Comparison>& all, bool overlap) {
  const Comparison* best = nullptr;
  for (const Comparison& each : all) {
    if (each.overlap != overlap) continue;
    if (!best || each.measured.makespan < best->measured.makespan) best = &each;
  }
  return best;
}

std::string comparison_line(const Comparison& each) {
  return concat(
      "step ", each.step, ", replica ", each.replica, each.overlap ? ", in turns" : ", apart", ": ",
      printed("%.4f", each.measured.makespan), " s, bubble ", percent(each.measured.idle_share()),
      "; simulated from its times ", printed("%.4f", each.simulated.makespan), " s, bubble ",
      percent(each.simulated.idle_share()), "\n");
}

Json comparison_json(const Comparison& each) {
  return Json(Json::Object{{"step", each.step},
                           {"replica", each.replica},
                           {"overlap", each.overlap},
                           {"seconds", each.measured.makespan},
                           {"bubble", each.measured.idle_share()},
                           {"simulated_seconds", each.simulated.makespan},
                           {"simulated_bubble", each.simulated.idle_share()}});
}

void write(const std::string& path, const char* what, const std::string& text, Output& out,
           Json& document) {
  if (path.empty()) return;
  write_file_atomically(path, text);
  out.text(concat("wrote ", path, " (", what, ")\n"));
  document[what] = path;
}

std::string perfetto(const RunRecord& record, const std::vector<const Comparison*>& shown) {
  std::vector<TracedTimeline> timelines;
  for (const Comparison* each : shown) {
    timelines.push_back({each->overlap ? "measured" : "measured, apart", &record.schedule,
                         &each->measured, slices_within(each->ranks)});
  }
  timelines.push_back({"simulated", &record.schedule, &shown.front()->simulated});
  return timelines_trace(timelines);
}

// A step's own computing: what it waited for comes first.
double computing_from(const RunTrace& trace, const TimedStep& step) {
  double from = step.start;
  for (const TimedWait& wait : trace.waits) {
    if (wait.start >= step.start && wait.end <= step.end) from = std::max(from, wait.end);
  }
  return from;
}

char colour_of(std::string_view phase) {
  if (phase == "weight") return 'W';
  return phase.find("backward") != std::string_view::npos ? 'B' : 'F';
}

TimelinePanel steps_panel(const RecordedStep& step) {
  TimelinePanel panel;
  panel.name = step.overlap ? "in turns" : "apart";
  double start = step.ranks.front().start;
  for (const RunTrace& rank : step.ranks) start = std::min(start, rank.start);
  for (size_t rank = 0; rank < step.ranks.size(); ++rank) {
    const RunTrace& trace = step.ranks[rank];
    TimelineRow row{concat("rank ", rank), "", {}, 0, ""};
    double busy = 0, end = start;
    for (const TimedStep& each : trace.steps) {
      const double from = computing_from(trace, each);
      busy += each.end - from;
      end = std::max(end, each.end);
      row.boxes.push_back(
          {from - start,
           each.end - start,
           {TimelinePart{colour_of(each.place.phase), static_cast<uint8_t>(each.place.stage % 2),
                         each.place.micro_batch}},
           false});
    }
    row.idle_share = 1.0 - busy / (end - start);
    panel.end = std::max(panel.end, end - start);
    panel.rows.push_back(std::move(row));
  }
  panel.facts = concat("step ", step.step, ", ", printed("%.3f", panel.end), " s");
  return panel;
}

// Every step of every chunk on the ranks of the world; gaps are waits.
TimelineChart steps_chart(const RunRecord& record, const std::vector<const Comparison*>& shown) {
  TimelineChart chart;
  chart.title = concat("What ranks computed, ", record.schedule.name);
  chart.subtitle =
      "measured, seconds; chunks of a pair in turns, and apart; a gap is a wait for a message";
  chart.description = chart.title;
  chart.legend = {{"F", "forward"}, {"B", "backward"}, {"W", "weights"}};
  chart.box_tooltip = [](size_t, size_t, size_t) { return std::string(); };
  chart.tones = "light: even stages, deep: odd stages";
  for (const Comparison* each : shown) {
    const auto step = std::ranges::find(record.steps, each->step, &RecordedStep::step);
    chart.panels.push_back(steps_panel(*step));
  }
  return chart;
}

}  // namespace

int show_measured(const MeasuredPipeline& what, Output& out) {
  const RunRecord record = read_run_record(what.record);
  const std::vector<Comparison> all = comparisons(record);
  require(!all.empty(), {.field = what.record, .problem = "no step was recorded"});
  Json document;
  document["clock_error_seconds"] = record.clock_error;
  out.text(concat("clocks of the ranks compared to ", printed("%.1f", 1e6 * record.clock_error),
                  " microseconds\n"));
  if (has_both(record)) {
    const OverlapReport report = overlap_report(record);
    for (const std::string& line : overlap_lines(report)) out.text(line + "\n");
    document["overlap"] = overlap_json(report);
  }
  Json list = Json::array();
  for (const Comparison& each : all) {
    out.text(comparison_line(each));
    list.push_back(comparison_json(each));
  }
  document["steps"] = std::move(list);
  std::vector<const Comparison*> shown;
  for (const bool overlap : {true, false}) {
    if (const Comparison* best = shortest(all, overlap)) shown.push_back(best);
  }
  write(what.svg, "svg",
        what.svg.empty() ? "" : timeline_svg(steps_chart(record, shown), what.zoom), out, document);
  write(what.trace, "trace", what.trace.empty() ? "" : perfetto(record, shown), out, document);
  if (out.json()) out.report(document);
  return 0;
}

}  // namespace hadal::cli
