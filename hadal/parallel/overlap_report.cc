#include "hadal/parallel/overlap_report.h"

#include <algorithm>
#include <map>

#include "hadal/core/median.h"
#include "hadal/core/number_text.h"

namespace hadal {
namespace {

using PhaseName = std::pair<std::string, std::string>;  // network, phase

double step_seconds(const RecordedStep& step) {
  double start = step.ranks.front().start, end = start;
  for (const RunTrace& rank : step.ranks) {
    start = std::min(start, rank.start);
    end = std::max(end, rank.end);
  }
  return end - start;
}

// A rank's mean without its waits.
double computed_seconds(const RecordedStep& step) {
  double sum = 0.0;
  for (const RunTrace& rank : step.ranks) {
    sum += rank.end - rank.start;
    for (const TimedWait& wait : rank.waits) sum -= wait.seconds();
  }
  return sum / static_cast<double>(step.ranks.size());
}

void add(OverlapRow& row, const OverlapRow& other) {
  row.messages += other.messages;
  row.bytes += other.bytes;
  row.alone += other.alone;
  row.exposed += other.exposed;
  row.late_alone += other.late_alone;
  row.late_exposed += other.late_exposed;
}

void add(OverlapRow& row, const PhaseWaits& waits, bool overlap, double share) {
  (overlap ? row.exposed : row.alone) += share * waits.on_the_way;
  (overlap ? row.late_exposed : row.late_alone) += share * waits.late;
  if (overlap) return;
  row.messages += share * static_cast<double>(waits.n_messages);
  row.bytes += share * static_cast<double>(waits.bytes);
}

std::string cell(const std::string& text, size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

std::string row_text(const OverlapRow& row, const std::string& name) {
  std::string line = name + std::string(name.size() < 34 ? 34 - name.size() : 1, ' ');
  line += cell(printed("%.0f", row.messages), 7) + cell(printed("%.2f", row.bytes / 1e6), 10);
  line += cell(printed("%.1f", 1e3 * row.alone), 10) + cell(printed("%.1f", 1e3 * row.exposed), 10);
  line += cell(printed("%.0f", 100 * row.hidden()) + " %", 8);
  return line + cell(printed("%.1f", 1e3 * row.late_alone), 10) +
         cell(printed("%.1f", 1e3 * row.late_exposed), 10);
}

Json row_json(const OverlapRow& row) {
  return Json(Json::Object{{"network", row.network},
                           {"phase", row.phase},
                           {"messages", row.messages},
                           {"bytes", row.bytes},
                           {"alone_seconds", row.alone},
                           {"exposed_seconds", row.exposed},
                           {"hidden", row.hidden()},
                           {"late_alone_seconds", row.late_alone},
                           {"late_exposed_seconds", row.late_exposed}});
}

}  // namespace

std::vector<PhaseWaits> phase_waits(std::span<const RunTrace> world) {
  std::map<MessageKey, double> sent;
  for (const RunTrace& rank : world) {
    for (const TimedSend& each : rank.sends) sent[each.message] = each.at;
  }
  std::map<PhaseName, PhaseWaits> phases;
  for (const RunTrace& rank : world) {
    for (const TimedWait& wait : rank.waits) {
      if (wait.message.from == wait.message.to) continue;
      const PhaseName name{wait.network, wait.place.phase};
      PhaseWaits& phase = phases[name];
      phase.network = name.first;
      phase.phase = name.second;
      ++phase.n_messages;
      phase.bytes += wait.bytes;
      const auto left = sent.find(wait.message);
      const double late =
          left == sent.end() ? 0.0 : std::clamp(left->second - wait.start, 0.0, wait.seconds());
      phase.late += late;
      phase.on_the_way += wait.seconds() - late;
    }
  }
  std::vector<PhaseWaits> list;
  for (auto& [name, phase] : phases) list.push_back(std::move(phase));
  return list;
}

bool has_both(const RunRecord& record) {
  const auto is_overlapped = [](const RecordedStep& each) { return each.overlap; };
  return std::ranges::any_of(record.steps, is_overlapped) &&
         !std::ranges::all_of(record.steps, is_overlapped);
}

OverlapReport overlap_report(const RunRecord& record) {
  const auto n_overlapped = static_cast<double>(
      std::ranges::count_if(record.steps, [](const RecordedStep& each) { return each.overlap; }));
  const double n_alone = static_cast<double>(record.steps.size()) - n_overlapped;
  std::map<PhaseName, OverlapRow> rows;
  std::vector<double> alone, overlapped, computed;
  for (const RecordedStep& step : record.steps) {
    (step.overlap ? overlapped : alone).push_back(step_seconds(step));
    if (step.overlap) computed.push_back(computed_seconds(step));
    for (const PhaseWaits& waits : phase_waits(step.ranks)) {
      OverlapRow& row = rows[{waits.network, waits.phase}];
      row.network = waits.network;
      row.phase = waits.phase;
      add(row, waits, step.overlap, 1.0 / (step.overlap ? n_overlapped : n_alone));
    }
  }
  OverlapReport report;
  std::map<std::string, OverlapRow> networks;
  for (const auto& [name, row] : rows) {
    report.rows.push_back(row);
    networks[name.first].network = name.first;
    add(networks[name.first], row);
    if (name.first != "gradients") add(report.schedule, row);
  }
  for (const auto& [name, row] : networks) report.rows.push_back(row);
  report.step_alone = median_of(alone);
  report.step = median_of(overlapped);
  report.computed = median_of(computed);
  return report;
}

std::vector<std::string> overlap_lines(const OverlapReport& report) {
  std::vector<std::string> lines = {
      "milliseconds of a step, all ranks  messages        MB     alone   exposed  hidden"
      "  late alone  exposed"};
  for (const OverlapRow& row : report.rows) {
    const std::string phase = row.phase.empty() ? "all" : row.phase;
    lines.push_back(row_text(row, concat(row.network, ", ", phase)));
  }
  lines.push_back(row_text(report.schedule, "experts and pipeline"));
  lines.push_back(concat("step ", printed("%.4f", report.step_alone), " s apart, ",
                         printed("%.4f", report.step), " s in turns, of which a rank computes ",
                         printed("%.4f", report.computed), " s"));
  return lines;
}

Json overlap_json(const OverlapReport& report) {
  Json rows = Json::array();
  for (const OverlapRow& row : report.rows) rows.push_back(row_json(row));
  return Json(Json::Object{{"rows", std::move(rows)},
                           {"schedule", row_json(report.schedule)},
                           {"step_alone_seconds", report.step_alone},
                           {"step_seconds", report.step},
                           {"computed_seconds", report.computed}});
}

}  // namespace hadal
