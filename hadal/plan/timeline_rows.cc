#include "hadal/plan/timeline_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "hadal/core/error.h"
#include "hadal/plan/formula_text.h"
#include "hadal/plan/svg_text.h"

namespace hadal {
namespace {

constexpr std::array<char, 4> kKinds = {'F', 'B', 'I', 'W'};

constexpr double kSmallestFont = 7;  // pixels; smaller numbers are left out

// Half of a pair, or a whole box.
struct Part {
  size_t kind = 0;  // in kKinds
  Chunk chunk;
  double top = 0, height = 0;
};

size_t kind_index(ActionKind kind) {
  switch (kind) {
    case ActionKind::kBackward:
      return 1;
    case ActionKind::kBackwardInput:
      return 2;
    case ActionKind::kWeight:
      return 3;
    default:
      return 0;
  }
}

const char* kind_name(size_t kind) {
  static constexpr const char* kNames[] = {"F", "B", "B_in", "W"};
  return kNames[kind];
}

std::string chunk_text(size_t kind, Chunk chunk) {
  return concat(kind_name(kind), " of micro-batch ", chunk.micro_batch, ", stage ", chunk.stage);
}

std::string box_tooltip(const TimedAction& box) {
  const Action& action = box.action;
  const bool pair = action.is_pair();
  std::string text = chunk_text(pair ? 0 : kind_index(action.kind), action.chunk);
  if (pair) text += "  &  " + chunk_text(1, action.backward);
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

class Row {
 public:
  Row(const TimelinePanel& panel, size_t rank, const TimeScale& scale, const RowStyle& style,
      double top)
      : panel_(panel),
        rank_(rank),
        scale_(scale),
        style_(style),
        top_(top),
        inner_(style.height - (style.height >= 12  ? 3
                               : style.height >= 6 ? 1
                                                   : 0)) {}

  void track(std::string& svg) const;
  void box(const TimedAction& box, size_t window);
  void margins(std::string& svg) const;
  void flush(std::string& svg) const;

 private:
  void part(const Part& part, double left, double right, const std::string& tooltip);
  size_t tone(Chunk chunk) const {
    const auto& held = panel_.schedule->held[rank_];
    return held.empty() || held.front() == chunk.stage ? 0 : 1;
  }

  const TimelinePanel& panel_;
  const size_t rank_;
  const TimeScale& scale_;
  const RowStyle& style_;
  const double top_, inner_;
  std::array<std::string, 8> shapes_;  // [kind, tone]: one path each, where there are no tooltips
  std::string boxes_, labels_;
};

// Idle until something is drawn over it; a schedule that is done early leaves its row early.
void Row::track(std::string& svg) const {
  const std::string tooltip = rank_tooltip(rank_, panel_.simulation->ranks[rank_]);
  for (size_t window = 0; window < scale_.windows().size(); ++window) {
    const TimeWindow& shown = scale_.windows()[window];
    const double end = std::min(shown.to, panel_.simulation->makespan);
    if (end <= shown.from) continue;
    const double left = scale_.left(window);
    svg += "<rect class=\"idle\" x=\"" + svg_number(left) + "\" y=\"" + svg_number(top_) +
           "\" width=\"" + svg_number(scale_.x(window, end) - left) + "\" height=\"" +
           svg_number(inner_) + "\"><title>" + svg_text(tooltip) + "</title></rect>\n";
  }
}

void Row::box(const TimedAction& box, size_t window) {
  const TimeWindow& shown = scale_.windows()[window];
  const double left = scale_.x(window, std::max(box.start, shown.from));
  const double right = scale_.x(window, std::min(box.end, shown.to));
  const std::string tooltip = style_.tooltips ? box_tooltip(box) : "";
  if (box.action.is_pair()) {
    const double half = inner_ / 2;
    part({0, box.action.chunk, top_, half}, left, right, tooltip);
    part({1, box.action.backward, top_ + half, half}, left, right, tooltip);
  } else {
    part({kind_index(box.action.kind), box.action.chunk, top_, inner_}, left, right, tooltip);
  }
}

void Row::part(const Part& part, double left, double right, const std::string& tooltip) {
  const double width = right - left - std::min(0.8, 0.15 * (right - left));  // a seam between boxes
  const size_t deep = tone(part.chunk);
  const std::string x = svg_number(left), y = svg_number(part.top);
  const std::string w = svg_number(width), h = svg_number(part.height);
  if (style_.tooltips) {
    boxes_ += "<rect class=\"" + box_class(kKinds[part.kind], static_cast<int>(deep)) + "\" x=\"" +
              x + "\" y=\"" + y + "\" width=\"" + w + "\" height=\"" + h + "\"><title>" +
              svg_text(tooltip) + "</title></rect>\n";
  } else {
    shapes_[2 * part.kind + deep] += "M" + x + " " + y + "h" + w + "v" + h + "h-" + w + "z";
  }
  const std::string label = std::to_string(part.chunk.micro_batch);
  const double room = (width - 1) / (0.62 * static_cast<double>(label.size()));
  const double font = std::min({11.0, 0.78 * part.height, room});
  if (font < kSmallestFont) return;
  labels_ += "<text class=\"n" + std::to_string(deep) + "\" x=\"" + svg_number(left + width / 2) +
             "\" y=\"" + svg_number(part.top + part.height / 2 + 0.36 * font) + "\" font-size=\"" +
             svg_number(font) + "\">" + label + "</text>\n";
}

void Row::margins(std::string& svg) const {
  const int every = std::max(1, static_cast<int>(std::ceil(10 / style_.height)));
  if (rank_ % static_cast<size_t>(every) != 0) return;
  const RankTimes& times = panel_.simulation->ranks[rank_];
  const double font = std::clamp(0.62 * style_.height, 8.0, 12.0);
  const std::string y = svg_number(top_ + inner_ / 2 + 0.36 * font);
  const auto text = [&](const char* name, double x, const std::string& value) {
    svg += std::string("<text class=\"") + name + "\" x=\"" + svg_number(x) + "\" y=\"" + y +
           "\" font-size=\"" + svg_number(font) + "\">" + svg_text(value) + "</text>\n";
  };
  const double left = scale_.left(0);
  text("end", left - 10, "rank " + std::to_string(rank_));
  const double right = scale_.right(scale_.windows().size() - 1);
  const double makespan = panel_.simulation->makespan;
  const double idle = makespan > 0 ? times.bubble / makespan : 0;
  text("end", right + 62, percent(idle));
  const auto bar = [&](const char* name, double share) {
    svg += std::string("<rect class=\"") + name + "\" x=\"" + svg_number(right + 70) + "\" y=\"" +
           svg_number(top_ + 0.3 * inner_) + "\" width=\"" + svg_number(50 * share) +
           "\" height=\"" + svg_number(0.4 * inner_) + "\"/>\n";
  };
  bar("rail", 1);
  bar("bar", idle);
  text("end", right + 166, std::to_string(times.peak_activations));
}

void Row::flush(std::string& svg) const {
  for (size_t kind = 0; kind < kKinds.size(); ++kind) {
    for (size_t deep = 0; deep < 2; ++deep) {
      const std::string& path = shapes_[2 * kind + deep];
      if (path.empty()) continue;
      svg += "<path class=\"" + box_class(kKinds[kind], static_cast<int>(deep)) + "\" d=\"" + path +
             "\"/>\n";
    }
  }
  svg += boxes_ + labels_;
}

bool in_window(const TimedAction& box, const TimeWindow& window) {
  return box.end > window.from && box.start < window.to && box.end > box.start;
}

}  // namespace

int64_t count_boxes(const Simulation& simulation, const std::vector<TimeWindow>& windows) {
  int64_t n = 0;
  for (const TimeWindow& window : windows) {
    for (const TimedAction& box : simulation.timeline) n += in_window(box, window) ? 1 : 0;
  }
  return n;
}

std::string box_class(char kind, int tone) { return std::string(1, kind) + std::to_string(tone); }

void draw_tracks(std::string& svg, const TimelinePanel& panel, const TimeScale& scale,
                 const RowStyle& style, double top) {
  for (size_t rank = 0; rank < panel.simulation->ranks.size(); ++rank) {
    Row(panel, rank, scale, style, top + style.height * static_cast<double>(rank)).track(svg);
  }
}

void draw_rows(std::string& svg, const TimelinePanel& panel, const TimeScale& scale,
               const RowStyle& style, double top) {
  const std::vector<TimedAction>& timeline = panel.simulation->timeline;
  size_t next = 0;
  for (size_t rank = 0; rank < panel.simulation->ranks.size(); ++rank) {
    Row row(panel, rank, scale, style, top + style.height * static_cast<double>(rank));
    for (; next < timeline.size() && std::cmp_equal(timeline[next].rank, rank); ++next) {
      for (size_t window = 0; window < scale.windows().size(); ++window) {
        if (in_window(timeline[next], scale.windows()[window])) row.box(timeline[next], window);
      }
    }
    row.flush(svg);
    row.margins(svg);
  }
}

}  // namespace hadal
