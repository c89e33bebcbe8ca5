#include "hadal/pipeline/timeline.h"

#include <algorithm>
#include <set>
#include <utility>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"
#include "hadal/pipeline/schedule_facts.h"

namespace hadal {
namespace {

char kind_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::kBackward:
      return 'B';
    case ActionKind::kBackwardInput:
      return 'I';
    case ActionKind::kWeight:
      return 'W';
    default:
      return 'F';
  }
}

std::string chunk_text(char kind, Chunk chunk) {
  const std::string name = kind == 'I' ? "B_in" : std::string(1, kind);
  return concat(name, " of micro-batch ", chunk.micro_batch, ", stage ", chunk.stage);
}

std::string box_tooltip(const TimedAction& box) {
  const Action& action = box.action;
  std::string text = chunk_text(kind_of(action.kind), action.chunk);
  if (action.is_pair()) text += "  &  " + chunk_text('B', action.backward);
  return text + "\nrank " + std::to_string(box.rank) + ", " + plain_number(box.start) + " to " +
         plain_number(box.end);
}

std::string rank_tooltip(size_t rank, const RankTimes& times) {
  std::string text =
      concat("rank ", rank, ": busy ", plain_number(times.busy), ", idle ",
             plain_number(times.bubble), " = warm-up ", plain_number(times.warm_up), " + waiting ",
             plain_number(times.waiting), " + cool-down ", plain_number(times.cool_down));
  for (const auto& [peer, time] : times.waiting_for) {
    text += concat("\nwaiting for rank ", peer, ": ", plain_number(time));
  }
  if (times.transfer > 0) text += "\nwaiting for transfers: " + plain_number(times.transfer);
  return text;
}

TimelineBox box_of(const TimedAction& timed, const std::vector<int32_t>& held) {
  const auto part = [&](char kind, Chunk chunk) {
    const bool deep = !held.empty() && held.front() != chunk.stage;
    return TimelinePart{kind, static_cast<uint8_t>(deep ? 1 : 0), chunk.micro_batch};
  };
  const Action& action = timed.action;
  TimelineBox box{.start = timed.start, .end = timed.end, .parts = {}, .is_pair = action.is_pair()};
  box.parts[0] = part(kind_of(action.kind), action.chunk);
  if (box.is_pair) box.parts[1] = part('B', action.backward);
  return box;
}

std::string sizes_text(const PipelineSchedule& schedule) {
  return concat(schedule.n_stages, " stages on ", schedule.n_ranks, " ranks, ",
                schedule.n_micro_batches, " micro-batches");
}

std::string facts_text(const SimulatedSchedule& shown) {
  int64_t peak = 0;
  for (const RankTimes& rank : shown.simulation->ranks) {
    peak = std::max(peak, rank.peak_activations);
  }
  return concat("makespan ", plain_number(shown.simulation->makespan), " \u00b7 idle ",
                percent(shown.simulation->idle_share()), " \u00b7 at most ", peak,
                " chunks stored \u00b7 parameters stored ",
                plain_number(parameter_copies(*shown.schedule)), "\u00d7");
}

TimelinePanel panel_of(const SimulatedSchedule& shown) {
  const Simulation& simulation = *shown.simulation;
  TimelinePanel panel{.name = schedule_title(shown.schedule->name),
                      .facts = concat(shown.schedule->n_stages, " stages on ",
                                      shown.schedule->n_ranks, " ranks \u00b7 ", facts_text(shown)),
                      .end = simulation.makespan,
                      .rows = {}};
  for (size_t rank = 0; rank < simulation.ranks.size(); ++rank) {
    const RankTimes& times = simulation.ranks[rank];
    panel.rows.push_back({.label = concat("rank ", rank),
                          .tooltip = rank_tooltip(rank, times),
                          .boxes = {},
                          .idle_share = panel.end > 0 ? times.bubble / panel.end : 0,
                          .figure = std::to_string(times.peak_activations)});
  }
  for (const TimedAction& timed : simulation.timeline) {
    const auto rank = static_cast<size_t>(timed.rank);
    panel.rows[rank].boxes.push_back(box_of(timed, shown.schedule->held[rank]));
  }
  return panel;
}

std::vector<TimelineKey> legend_of(const std::vector<SimulatedSchedule>& schedules) {
  std::set<ActionKind> seen;
  for (const SimulatedSchedule& shown : schedules) {
    for (const TimedAction& box : shown.simulation->timeline) seen.insert(box.action.kind);
  }
  std::vector<TimelineKey> entries;
  const auto add = [&](ActionKind kind, const char* kinds, const char* text) {
    if (seen.contains(kind)) entries.push_back({kinds, text});
  };
  add(ActionKind::kForward, "F", "F forward");
  add(ActionKind::kBackward, "B", "B backward");
  add(ActionKind::kBackwardInput, "I", "B_in its input part");
  add(ActionKind::kWeight, "W", "W its weight part");
  add(ActionKind::kForwardBackward, "FB", "F&B overlapped pair");
  return entries;
}

// What light and deep tones mean; empty when there is one tone only.
std::string tones_text(const std::vector<SimulatedSchedule>& schedules) {
  std::string text;
  const auto add = [&](const std::string& more) {
    if (text.find(more) == std::string::npos) text += (text.empty() ? "" : "; ") + more;
  };
  for (const SimulatedSchedule& shown : schedules) {
    const std::string name =
        schedules.size() > 1 ? schedule_title(shown.schedule->name) + ": " : "";
    switch (placement_of(*shown.schedule)) {
      case Placement::kOneStage:
        break;
      case Placement::kTwoDirections:
        add(name + "light from the first rank on, deep from the last rank back");
        break;
      case Placement::kThereAndBack:
        add(name + "light on the way out, deep on the way back");
        break;
      case Placement::kOther:
        add(name + "light: the rank's first stage, deep: its others");
        break;
    }
  }
  return text;
}

}  // namespace

TimelineChart pipeline_timeline(const std::vector<SimulatedSchedule>& schedules,
                                const std::string& times) {
  const PipelineSchedule& first = *schedules.front().schedule;
  TimelineChart timeline;
  if (schedules.size() > 1) {
    const bool one_cut = std::all_of(
        schedules.begin(), schedules.end(),
        [&](const SimulatedSchedule& each) { return each.schedule->n_stages == first.n_stages; });
    timeline.title =
        concat("Pipeline schedules, ", one_cut ? first.n_stages : first.n_ranks,
               one_cut ? " stages, " : " ranks, ", first.n_micro_batches, " micro-batches");
    timeline.subtitle = times;
    timeline.description = "pipeline schedules compared";
  } else {
    const std::string title = schedule_title(first.name), facts = facts_text(schedules.front());
    timeline.title = title + ", " + sizes_text(first);
    timeline.subtitle = facts + " \u00b7 " + times;
    timeline.description = title + ", " + facts;
  }
  timeline.legend = legend_of(schedules);
  timeline.tones = tones_text(schedules);
  timeline.figure_name = "stored";
  for (const SimulatedSchedule& shown : schedules) timeline.panels.push_back(panel_of(shown));

  // The boxes of a panel are the actions of its simulation, rank by rank.
  std::vector<std::vector<size_t>> first_box;  // [panel][row]
  for (const TimelinePanel& panel : timeline.panels) {
    size_t next = 0;
    std::vector<size_t>& firsts = first_box.emplace_back();
    for (const TimelineRow& row : panel.rows) {
      firsts.push_back(next);
      next += row.boxes.size();
    }
  }
  timeline.box_tooltip = [schedules, first_box = std::move(first_box)](size_t panel, size_t row,
                                                                       size_t box) {
    return box_tooltip(schedules[panel].simulation->timeline[first_box[panel][row] + box]);
  };
  return timeline;
}

}  // namespace hadal
