#include "hadal/parallel/run_record.h"

#include <mutex>
#include <set>

#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule_file.h"

namespace hadal {
namespace {

// Phases and networks are static texts in a run; those of a file live as long.
std::string_view static_text(const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> known;
  const std::lock_guard lock(mutex);
  return *known.insert(text).first;
}

template <class List, class ToJson>
Json list_json(const List& list, const ToJson& to_json) {
  Json array = Json::array();
  for (const auto& each : list) array.push_back(Json(to_json(each)));
  return array;
}

template <class Each, class From>
std::vector<Each> list_from(const Json& array, size_t n_fields, const From& from) {
  std::vector<Each> list;
  for (const Json& each : array.as_array()) {
    const Json::Array& fields = each.as_array();
    if (fields.size() != n_fields) {
      throw FormatError(concat("a list of ", fields.size(), " values, expected ", n_fields));
    }
    list.push_back(from(fields));
  }
  return list;
}

int small(const Json& json) { return static_cast<int>(json.as_integer()); }

RankPlace place_from(const Json& phase, const Json& stage, const Json& micro_batch) {
  return {0, static_text(phase.as_string()), small(stage), small(micro_batch)};
}

MessageKey key_from(const Json::Array& fields, size_t at) {
  return {small(fields[at]), small(fields[at + 1]), fields[at + 2].as_integer(),
          fields[at + 3].as_integer(), fields[at + 4].as_integer()};
}

}  // namespace

Json trace_json(const RunTrace& trace) {
  const auto key = [](Json::Array fields, const MessageKey& m) {
    for (const int64_t each : {int64_t{m.from}, int64_t{m.to}, m.group, m.tag, m.number}) {
      fields.emplace_back(each);
    }
    return fields;
  };
  return Json(Json::Object{
      {"start", trace.start},
      {"end", trace.end},
      {"actions", list_json(trace.actions,
                            [](const TimedAction& each) {
                              return Json::Array{to_text(each.action), each.start, each.end};
                            })},
      {"steps", list_json(trace.steps,
                          [](const TimedStep& each) {
                            return Json::Array{each.place.phase, each.place.stage,
                                               each.place.micro_batch, each.start, each.end};
                          })},
      {"sends", list_json(trace.sends,
                          [&](const TimedSend& each) {
                            return key({each.bytes, each.at}, each.message);
                          })},
      {"waits", list_json(trace.waits, [&](const TimedWait& each) {
         return key({each.network, each.place.phase, each.place.stage, each.place.micro_batch,
                     each.from, each.bytes, each.start, each.end},
                    each.message);
       })}});
}

RunTrace trace_from(const Json& json) {
  RunTrace trace;
  trace.start = json.at("start").as_number();
  trace.end = json.at("end").as_number();
  trace.actions =
      list_from<TimedAction>(json.at("actions"), 3, [](const Json::Array& f) -> TimedAction {
        return {0, parse_action(f[0].as_string()), f[1].as_number(), f[2].as_number()};
      });
  trace.steps = list_from<TimedStep>(json.at("steps"), 5, [](const Json::Array& f) -> TimedStep {
    return {place_from(f[0], f[1], f[2]), f[3].as_number(), f[4].as_number()};
  });
  trace.sends = list_from<TimedSend>(json.at("sends"), 7, [](const Json::Array& f) -> TimedSend {
    return {key_from(f, 2), f[0].as_integer(), f[1].as_number()};
  });
  trace.waits = list_from<TimedWait>(json.at("waits"), 13, [](const Json::Array& f) -> TimedWait {
    return {static_text(f[0].as_string()),
            place_from(f[1], f[2], f[3]),
            small(f[4]),
            f[5].as_integer(),
            f[6].as_number(),
            f[7].as_number(),
            key_from(f, 8)};
  });
  return trace;
}

std::vector<RunTrace> RunRecord::pipeline(size_t step, int32_t replica) const {
  std::vector<RunTrace> ranks;
  const std::vector<RunTrace>& world = steps[step].ranks;
  for (auto rank = static_cast<size_t>(replica); rank < world.size();
       rank += static_cast<size_t>(data)) {
    ranks.push_back(world[rank]);
  }
  return ranks;
}

Json record_json(const RunRecord& record) {
  Json steps = Json::array();
  for (const RecordedStep& each : record.steps) {
    steps.push_back(Json(Json::Object{{"step", each.step},
                                      {"overlap", each.overlap},
                                      {"ranks", list_json(each.ranks, trace_json)}}));
  }
  return Json(Json::Object{{"schedule", parse_json(schedule_text(record.schedule), "schedule")},
                           {"data", record.data},
                           {"clock_error_seconds", record.clock_error},
                           {"steps", std::move(steps)}});
}

RunRecord read_run_record(const std::string& path) {
  const Json json = parse_json_file(path);
  try {
    RunRecord record;
    record.schedule = parse_schedule(json.at("schedule").dump(), "schedule");
    record.data = small(json.at("data"));
    record.clock_error = json.at("clock_error_seconds").as_number();
    for (const Json& each : json.at("steps").as_array()) {
      RecordedStep step{each.at("step").as_integer(), each.at("overlap").as_bool(), {}};
      for (const Json& rank : each.at("ranks").as_array()) step.ranks.push_back(trace_from(rank));
      if (std::ssize(step.ranks) != int64_t{record.data} * record.schedule.n_ranks) {
        throw FormatError(concat("step ", step.step, " has ", step.ranks.size(),
                                 " ranks, expected ", record.data, " x ", record.schedule.n_ranks));
      }
      record.steps.push_back(std::move(step));
    }
    return record;
  } catch (const FormatError& error) {
    throw FormatError(concat(path, ": not a trace of a run: ", error.what()));
  }
}

}  // namespace hadal
