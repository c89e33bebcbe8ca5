#include "hadal/draw/timeline_text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "hadal/core/error.h"

namespace hadal {
namespace {

constexpr size_t kLabel = 9;  // "rank 123 "
constexpr int kBlack = 16, kWhite = 231;

// Characters for the whole time, or 0 when `room` is not enough. Where all times are multiples of
// the shortest, so are the boxes.
int count_cells(const TimelinePanel& panel, int room) {
  double shortest = std::numeric_limits<double>::infinity();
  for (const TimelineRow& row : panel.rows) {
    for (const TimelineBox& box : row.boxes) {
      if (box.end > box.start) shortest = std::min(shortest, box.end - box.start);
    }
  }
  const double units = panel.end / shortest;  // 0 when nothing takes time
  if (!(units >= 1) || units > room) return 0;
  const double whole = std::round(units);
  if (std::abs(units - whole) > 1e-6) return room;
  return static_cast<int>(whole) * std::min(2, room / static_cast<int>(whole));
}

struct Paint {  // of the terminal's 256 colours
  int light, deep;
};

Paint paint_of(char kind) {
  switch (kind) {
    case 'F':
      return {117, 25};
    case 'B':
      return {115, 29};
    case 'I':
      return {182, 132};
    default:
      return {221, 136};
  }
}

int shade(const TimelinePart& part) {
  const Paint paint = paint_of(part.kind);
  return part.tone > 0 ? paint.deep : paint.light;
}

std::string in_colour(const TimelineBox& box, int n) {
  const TimelinePart& part = box.parts[0];
  if (box.is_pair) {
    // The upper half block in the first part's colour on the second one's ground.
    std::string text = concat("\033[38;5;", shade(part), ";48;5;", shade(box.parts[1]), "m");
    for (int i = 0; i < n; ++i) text += "\u2580";
    return text + "\033[0m";
  }
  // With its number where it fits, so that boxes can be told apart.
  std::string label = std::to_string(part.number);
  if (std::cmp_greater(label.size(), n)) label.clear();
  label.resize(static_cast<size_t>(n), ' ');
  return concat("\033[38;5;", part.tone > 0 ? kWhite : kBlack, ";48;5;", shade(part), "m", label,
                "\033[0m");
}

std::string in_letters(const TimelineBox& box, int n) {
  const char letter = box.is_pair ? 'X' : box.parts[0].kind;
  const bool deep = box.parts[0].tone > 0;
  return std::string(static_cast<size_t>(n), deep ? static_cast<char>(letter - 'A' + 'a') : letter);
}

}  // namespace

std::string timeline_text(const TimelineChart& timeline, int columns, bool colour) {
  const TimelinePanel& panel = timeline.panels.front();
  const int cells = count_cells(panel, columns - static_cast<int>(kLabel));
  if (cells == 0) return "";
  const double per_time = cells / panel.end;
  const auto cell = [&](double time) { return static_cast<int>(std::lround(time * per_time)); };
  std::string text;
  for (const TimelineRow& row : panel.rows) {
    text += row.label + std::string(row.label.size() < kLabel ? kLabel - row.label.size() : 0, ' ');
    int drawn = 0;
    const auto idle_until = [&](int end) {
      text += std::string(static_cast<size_t>(std::max(0, end - drawn)), colour ? ' ' : '.');
      drawn = std::max(drawn, end);
    };
    for (const TimelineBox& box : row.boxes) {
      idle_until(cell(box.start));
      const int n = cell(box.end) - drawn;
      if (n > 0) text += colour ? in_colour(box, n) : in_letters(box, n);
      drawn += std::max(n, 0);
    }
    idle_until(cells);
    text += "\n";
  }
  if (colour) return text + "F blue, B green, B_in rose, W amber, F&B both halves\n";
  return text + "F forward, B backward, I its input part, W its weight part, X overlapped pair, " +
         ". idle\n" + (timeline.tones.empty() ? "" : "small letters: not the rank's first stage\n");
}

}  // namespace hadal
