#include "hadal/plan/timeline_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "hadal/core/error.h"
#include "hadal/plan/schedule_facts.h"

namespace hadal {
namespace {

constexpr int kLabel = 9;  // "rank 123 "
constexpr int kBlack = 16, kWhite = 231;

// Characters for the whole time, or 0 when `room` is not enough. Where all times are multiples of
// the shortest, so are the boxes.
int count_cells(const Simulation& simulation, int room) {
  double shortest = std::numeric_limits<double>::infinity();
  for (const TimedAction& box : simulation.timeline) {
    if (box.end > box.start) shortest = std::min(shortest, box.end - box.start);
  }
  const double units = simulation.makespan / shortest;  // 0 when nothing takes time
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

class TextRow {
 public:
  TextRow(const PipelineSchedule& schedule, size_t rank, bool colour)
      : held_(schedule.held[rank]), colour_(colour) {}

  std::string cells(const TimedAction& box, int n) const {
    static constexpr char kLetters[] = {'F', 'B', 'I', 'W', 'X'};
    const char letter = kLetters[static_cast<size_t>(box.action.kind)];
    const bool deep = is_deep(box.action.chunk);
    if (!colour_) {
      const char shown = deep ? static_cast<char>(letter - 'A' + 'a') : letter;
      return std::string(static_cast<size_t>(n), shown);
    }
    if (!box.action.is_pair()) return painted(letter, deep, box.action.chunk.micro_batch, n);
    // Both halves: the upper half block in the forward's colour on the backward's ground.
    std::string text = concat("\033[38;5;", shade('F', deep), ";48;5;",
                              shade('B', is_deep(box.action.backward)), "m");
    for (int i = 0; i < n; ++i) text += "\u2580";
    return text + "\033[0m";
  }

 private:
  bool is_deep(Chunk chunk) const { return !held_.empty() && held_.front() != chunk.stage; }
  static int shade(char kind, bool deep) {
    return deep ? paint_of(kind).deep : paint_of(kind).light;
  }
  // With the number of the micro-batch where it fits, so that boxes can be told apart.
  static std::string painted(char kind, bool deep, int32_t micro_batch, int n) {
    std::string label = std::to_string(micro_batch);
    if (std::cmp_greater(label.size(), n)) label.clear();
    label.resize(static_cast<size_t>(n), ' ');
    return concat("\033[38;5;", deep ? kWhite : kBlack, ";48;5;", shade(kind, deep), "m", label,
                  "\033[0m");
  }

  const std::vector<int32_t>& held_;
  const bool colour_;
};

}  // namespace

std::string timeline_text(const PipelineSchedule& schedule, const Simulation& simulation,
                          int columns, bool colour) {
  const int cells = count_cells(simulation, columns - kLabel);
  if (cells == 0) return "";
  const double per_time = cells / simulation.makespan;
  const auto cell = [&](double time) { return static_cast<int>(std::lround(time * per_time)); };
  std::string text;
  size_t next = 0;
  for (size_t rank = 0; rank < schedule.held.size(); ++rank) {
    char label[32];
    std::snprintf(label, sizeof label, "rank %-4zu", rank);
    text += label;
    const TextRow row(schedule, rank, colour);
    int drawn = 0;
    const auto idle_until = [&](int end) {
      text += std::string(static_cast<size_t>(std::max(0, end - drawn)), colour ? ' ' : '.');
      drawn = std::max(drawn, end);
    };
    for (;
         next < simulation.timeline.size() && std::cmp_equal(simulation.timeline[next].rank, rank);
         ++next) {
      const TimedAction& box = simulation.timeline[next];
      idle_until(cell(box.start));
      const int end = cell(box.end);
      if (end > drawn) text += row.cells(box, end - drawn);
      drawn = std::max(drawn, end);
    }
    idle_until(cells);
    text += "\n";
  }
  if (colour) return text + "F blue, B green, B_in rose, W amber, F&B both halves\n";
  const bool two_tones = placement_of(schedule) != Placement::kOneStage;
  return text + "F forward, B backward, I its input part, W its weight part, X overlapped pair, " +
         ". idle\n" + (two_tones ? "small letters: the rank's second stage\n" : "");
}

}  // namespace hadal
