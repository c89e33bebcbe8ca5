#include "hadal/pipeline/timeline_trace.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/pipeline/schedule_facts.h"

namespace hadal {
namespace {

constexpr size_t kNoBox = static_cast<size_t>(-1);

// The list of events of a whole trace.
struct Events {
  void add(const std::string& fields) {
    text += n++ == 0 ? "\n{" : ",\n{";
    text += fields + "}";
  }
  std::string file(const Json& other) const {
    return "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[" + text +
           "\n],\"otherData\":" + other.dump() + "}\n";
  }
  std::string text;
  int64_t n = 0, n_arrows = 0;
};

// One timeline, a process of the trace.
class Trace {
 public:
  Trace(const TracedTimeline& timeline, int process, double ns_per_unit, Events& events)
      : timeline_(timeline),
        schedule_(*timeline.schedule),
        simulation_(*timeline.timeline),
        process_(process),
        ns_per_unit_(ns_per_unit),
        events_(events) {}
  void write();

 private:
  // Whole nanoseconds: slices that touch must not overlap by a rounding error.
  int64_t nanoseconds(double time) const { return std::llround(time * ns_per_unit_); }
  static std::string microseconds(int64_t ns) {
    char text[40];
    std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(ns / 1000),
                  static_cast<long long>(ns % 1000));
    return text;
  }
  size_t index(Chunk chunk) const {
    return static_cast<size_t>(chunk.stage) * static_cast<size_t>(schedule_.n_micro_batches) +
           static_cast<size_t>(chunk.micro_batch);
  }
  void event(const std::string& fields) { events_.add(fields); }
  std::string at(int32_t rank, int64_t ns) const {
    return concat("\"pid\":", process_, ",\"tid\":", rank, ",\"ts\":", microseconds(ns));
  }

  void names();
  void slice(const TimedAction& box);
  void find_makers();
  void arrows();
  void arrow(const std::vector<size_t>& makers, Chunk maker, const TimedAction& user);

  const TracedTimeline& timeline_;
  const PipelineSchedule& schedule_;
  const Simulation& simulation_;
  const int process_;
  const double ns_per_unit_;
  Events& events_;
  std::vector<size_t> forward_box_, backward_box_;  // [chunk]: place in the timeline
};

void Trace::names() {
  const std::string title = Json(concat(timeline_.title, timeline_.title.empty() ? "" : ": ",
                                        schedule_title(schedule_.name), ", ", schedule_.n_stages,
                                        " stages, ", schedule_.n_micro_batches, " micro-batches"))
                                .dump();
  event("\"ph\":\"M\",\"name\":\"process_name\",\"pid\":" + std::to_string(process_) +
        ",\"tid\":0,\"args\":{\"name\":" + title + "}");
  for (size_t rank = 0; rank < schedule_.held.size(); ++rank) {
    std::string stages;
    for (const int32_t stage : schedule_.held[rank]) {
      stages += (stages.empty() ? "" : ", ") + std::to_string(stage);
    }
    event(concat("\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":", process_, ",\"tid\":", rank,
                 ",\"args\":{\"name\":\"rank ", rank, " (stages ", stages, ")\"}"));
    event(concat("\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":", process_,
                 ",\"tid\":", rank, ",\"args\":{\"sort_index\":", rank, "}"));
  }
}

void Trace::slice(const TimedAction& box) {
  static constexpr const char* kNames[] = {"F", "B", "B_in", "W", "F&B"};
  static constexpr const char* kCategories[] = {"forward", "backward", "backward_input", "weight",
                                                "forward_backward"};
  const auto kind = static_cast<size_t>(box.action.kind);
  const Chunk chunk = box.action.chunk, backward = box.action.backward;
  const bool pair = box.action.is_pair();
  const int64_t start = nanoseconds(box.start);
  std::string name = concat(kNames[kind], " ", chunk.micro_batch);
  std::string args = concat("\"stage\":", chunk.stage, ",\"micro_batch\":", chunk.micro_batch);
  if (pair) {
    name = concat("F ", chunk.micro_batch, " & B ", backward.micro_batch);
    args += concat(",\"backward_stage\":", backward.stage,
                   ",\"backward_micro_batch\":", backward.micro_batch);
  }
  event(concat("\"ph\":\"X\",\"name\":\"", name, "\",\"cat\":\"", kCategories[kind], "\",",
               at(box.rank, start), ",\"dur\":", microseconds(nanoseconds(box.end) - start),
               ",\"args\":{", args, "}"));
}

void Trace::find_makers() {
  const size_t n_chunks =
      static_cast<size_t>(schedule_.n_stages) * static_cast<size_t>(schedule_.n_micro_batches);
  forward_box_.assign(n_chunks, kNoBox);
  backward_box_.assign(n_chunks, kNoBox);
  for (size_t i = 0; i < simulation_.timeline.size(); ++i) {
    const Action& action = simulation_.timeline[i].action;
    if (action.goes_forward()) forward_box_[index(action.chunk)] = i;
    if (action.goes_backward()) backward_box_[index(action.backward_chunk())] = i;
  }
}

void Trace::arrow(const std::vector<size_t>& makers, Chunk maker, const TimedAction& user) {
  if (maker.stage < 0 || maker.stage >= schedule_.n_stages) return;
  const size_t found = makers[index(maker)];
  if (found == kNoBox || events_.n_arrows >= kMaxArrows) return;
  const TimedAction& made = simulation_.timeline[found];
  if (made.rank == user.rank) return;
  const std::string common =
      concat("\"name\":\"", &makers == &forward_box_ ? "activation" : "gradient",
             "\",\"cat\":\"transfer\",\"id\":", events_.n_arrows++, ",");
  // An arrow belongs to the slice around its time, so it leaves just before its slice ends.
  const int64_t start = nanoseconds(made.start), end = nanoseconds(made.end);
  event("\"ph\":\"s\"," + common + at(made.rank, end > start ? end - 1 : start));
  event("\"ph\":\"f\",\"bp\":\"e\"," + common + at(user.rank, nanoseconds(user.start)));
}

void Trace::arrows() {
  find_makers();
  for (const TimedAction& box : simulation_.timeline) {
    const Action& action = box.action;
    if (action.goes_forward()) {
      arrow(forward_box_, {action.chunk.stage - 1, action.chunk.micro_batch}, box);
    }
    if (action.goes_backward()) {
      const Chunk chunk = action.backward_chunk();
      arrow(backward_box_, {chunk.stage + 1, chunk.micro_batch}, box);
    }
  }
}

void Trace::write() {
  names();
  for (const TimedAction& box : simulation_.timeline) slice(box);
  for (const TraceSlice& each : timeline_.beside) {
    const int64_t start = nanoseconds(each.start);
    event(concat("\"ph\":\"X\",\"name\":", Json(each.name).dump(), ",\"cat\":\"", each.category,
                 "\",", at(each.rank, start),
                 ",\"dur\":", microseconds(nanoseconds(each.end) - start)));
  }
  const int64_t n_crossings =
      2 * int64_t{schedule_.n_stages - 1} * int64_t{schedule_.n_micro_batches};
  if (n_crossings <= kMaxArrows) arrows();
}

}  // namespace

std::string timeline_trace(const PipelineSchedule& schedule, const Simulation& simulation) {
  double ns_per_unit = 1e6;
  const double ns = simulation.makespan * ns_per_unit;
  if (ns > 1e15 || (ns > 0 && ns < 1e4)) ns_per_unit = 1e9 / simulation.makespan;
  Events events;
  Trace({"", &schedule, &simulation}, 0, ns_per_unit, events).write();
  Json other;
  other["schedule"] = schedule.name;
  other["makespan"] = simulation.makespan;
  other["milliseconds_per_unit"] = ns_per_unit / 1e6;
  return events.file(other);
}

std::string timelines_trace(const std::vector<TracedTimeline>& timelines) {
  Events events;
  Json makespans;
  int process = 0;
  for (const TracedTimeline& each : timelines) {
    Trace(each, process++, 1e9, events).write();
    makespans[each.title] = each.timeline->makespan;
  }
  Json other;
  other["makespan_seconds"] = makespans;
  return events.file(other);
}

}  // namespace hadal
