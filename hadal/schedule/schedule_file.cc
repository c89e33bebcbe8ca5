#include "hadal/schedule/schedule_file.h"

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"
#include "hadal/core/nearest.h"
#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule_transfers.h"

namespace hadal {
namespace {

class ScheduleReader {
 public:
  explicit ScheduleReader(std::string_view source) : source_(source) {}

  PipelineSchedule read(const Json& json) {
    if (!json.is_object())
      fail("", "not a schedule (found ", json.type_name(), ", expected object)");
    expect_known_keys(json);
    s_.name = json.find("name") == nullptr ? "schedule" : text_of(json.at("name"), "name");
    s_.n_stages = extent(json, "n_stages");
    s_.n_micro_batches = extent(json, "n_micro_batches");
    const int64_t n_chunks = int64_t{s_.n_stages} * s_.n_micro_batches;
    if (n_chunks > kMaxChunks) {
      fail("n_micro_batches", "the schedule is too long (found ", s_.n_stages, " stages x ",
           s_.n_micro_batches, " micro-batches, expected at most ", kMaxChunks,
           " chunks); use fewer micro-batches");
    }
    read_ranks(member(json, "ranks"));
    if (const Json* held = json.find("held")) {
      read_held(*held);
    } else {
      hold_what_is_computed();
    }
    if (n_transfers_ == 0) insert_transfers(s_);
    return std::move(s_);
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail(std::string_view field, const Parts&... parts) const {
    throw FormatError(concat(source_, ": ", field, field.empty() ? "" : ": ", parts...));
  }

  void expect_known_keys(const Json& json) const {
    static const std::vector<std::string> kKeys = {"name", "n_stages", "n_micro_batches", "held",
                                                   "ranks"};
    for (const auto& [key, value] : json.as_object()) {
      if (std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end()) continue;
      const std::string hint = did_you_mean(key, kKeys);
      fail("", "unknown key (found ", in_quotes(key),
           ", expected name, n_stages, n_micro_batches, held or ranks); ",
           hint.empty() ? "take it out" : hint);
    }
  }

  const Json& member(const Json& json, const char* key) const {
    const Json* value = json.find(key);
    if (value == nullptr) fail(key, "missing (found nothing, expected this key); add it");
    return *value;
  }

  const std::string& text_of(const Json& json, std::string_view field) const {
    if (!json.is_string()) {
      fail(field, "wrong type (found ", json.type_name(), ", expected string); put it in quotes");
    }
    return json.as_string();
  }

  const Json::Array& array_of(const Json& json, std::string_view field) const {
    if (!json.is_array()) {
      fail(field, "wrong type (found ", json.type_name(), ", expected array); write [...]");
    }
    return json.as_array();
  }

  int32_t number(const Json& json, std::string_view field, int64_t least, int64_t most) const {
    const bool fits = json.is_integer() && !json.is_unsigned() && json.as_integer() >= least &&
                      json.as_integer() <= most;
    if (!fits) {
      fail(field, "wrong number (found ", in_quotes(json.dump()), ", expected an integer from ",
           least, " to ", most, "); correct it");
    }
    return static_cast<int32_t>(json.as_integer());
  }

  int32_t extent(const Json& json, const char* key) const {
    return number(member(json, key), key, 1, kMaxChunks);
  }

  void read_ranks(const Json& json) {
    const Json::Array& lists = array_of(json, "ranks");
    if (lists.empty() || lists.size() > size_t{kMaxRanks}) {
      fail("ranks", "wrong number of ranks (found ", lists.size(), ", expected 1 to ", kMaxRanks,
           "); write one list of actions per rank");
    }
    s_.n_ranks = static_cast<int32_t>(lists.size());
    s_.ranks.resize(lists.size());
    for (size_t rank = 0; rank < lists.size(); ++rank) read_list(lists[rank], rank);
    // Before anything as large as n_stages * n_micro_batches is set up.
    const int64_t n_needed = 2 * int64_t{s_.n_stages} * s_.n_micro_batches;
    if (n_halves_ < n_needed) {
      fail("ranks", "too few computations (found ", n_halves_, ", expected at least ", n_needed,
           ": F and B of ", s_.n_stages, " stages x ", s_.n_micro_batches,
           " micro-batches); complete the lists or correct n_stages and n_micro_batches");
    }
  }

  void read_list(const Json& json, size_t rank) {
    const std::string where = concat("ranks[", rank, "]");
    const Json::Array& list = array_of(json, where);
    for (size_t i = 0; i < list.size(); ++i) {
      const auto place = [&] { return concat(where, "[", i, "]"); };
      if (!list[i].is_string()) text_of(list[i], place());  // fails
      Action action;
      try {
        action = parse_action(list[i].as_string());
      } catch (const FormatError& error) {
        fail(place(), error.what());
      }
      if (const std::string wrong = out_of_range(action); !wrong.empty()) fail(place(), wrong);
      if (action.is_transfer()) {
        ++n_transfers_;
      } else if (action.kind != ActionKind::kWeight) {
        n_halves_ += action.kind == ActionKind::kForwardBackward ? 2 : 1;
      }
      s_.ranks[rank].push_back(action);
    }
  }

  std::string out_of_range(const Action& action) const {
    const auto wrong = [&](const char* what, int32_t found, int32_t end) {
      return concat("no such ", what, " in ", in_quotes(to_text(action)), " (found ", found,
                    ", expected 0 to ", end - 1, "); they are counted from 0");
    };
    for (const Chunk& chunk : {action.chunk, action.backward}) {  // unused: (0, 0), always there
      if (chunk.stage >= s_.n_stages) return wrong("stage", chunk.stage, s_.n_stages);
      if (chunk.micro_batch >= s_.n_micro_batches) {
        return wrong("micro-batch", chunk.micro_batch, s_.n_micro_batches);
      }
    }
    if (action.is_transfer() && action.peer >= s_.n_ranks) {
      return wrong("rank", action.peer, s_.n_ranks);
    }
    return "";
  }

  void read_held(const Json& json) {
    const Json::Array& lists = array_of(json, "held");
    if (lists.size() != s_.ranks.size()) {
      fail("held", "wrong number of ranks (found ", lists.size(), ", expected ", s_.ranks.size(),
           " as in ranks); write one list of stages per rank");
    }
    s_.held.resize(lists.size());
    for (size_t rank = 0; rank < lists.size(); ++rank) {
      const std::string where = concat("held[", rank, "]");
      const Json::Array& stages = array_of(lists[rank], where);
      for (size_t i = 0; i < stages.size(); ++i) {
        const std::string place = concat(where, "[", i, "]");
        s_.held[rank].push_back(number(stages[i], place, 0, s_.n_stages - 1));
      }
    }
  }

  void hold_what_is_computed() {
    std::vector<int32_t> holder(static_cast<size_t>(s_.n_stages), -1);  // last rank to hold it
    for (int32_t rank = 0; rank < s_.n_ranks; ++rank) {
      std::vector<int32_t>& held = s_.held.emplace_back();
      for (const Action& action : s_.ranks[static_cast<size_t>(rank)]) {
        if (action.is_transfer()) continue;
        const bool pair = action.kind == ActionKind::kForwardBackward;
        for (const Chunk& chunk : {action.chunk, pair ? action.backward : action.chunk}) {
          int32_t& last = holder[static_cast<size_t>(chunk.stage)];
          if (last != rank) held.push_back(chunk.stage);
          last = rank;
        }
      }
    }
  }

  std::string_view source_;
  PipelineSchedule s_;
  int64_t n_transfers_ = 0;
  int64_t n_halves_ = 0;  // F, B and B_in; a pair is two
};

// [first, second, ...], broken into lines under its first entry.
void write_list(std::string& out, const std::vector<std::string>& entries) {
  constexpr size_t kLongest = 100, kIndent = 5;
  out += "    [";
  size_t column = kIndent;
  for (size_t i = 0; i < entries.size(); ++i) {
    const bool last = i + 1 == entries.size();
    const size_t width = entries[i].size() + 1;  // with its comma or bracket
    if (i > 0 && column + 1 + width > kLongest) {
      out += "\n" + std::string(kIndent, ' ');
      column = kIndent;
    } else if (i > 0) {
      out += " ";
      ++column;
    }
    out += entries[i];
    if (!last) out += ",";
    column += width;
  }
  out += "]";
}

template <class Lists, class EntryText>
std::string lists_text(const Lists& lists, const EntryText& entry_text) {
  std::string out = "[\n";
  for (size_t rank = 0; rank < lists.size(); ++rank) {
    std::vector<std::string> entries;
    for (const auto& entry : lists[rank]) entries.push_back(entry_text(entry));
    write_list(out, entries);
    out += rank + 1 < lists.size() ? ",\n" : "\n";
  }
  return out + "  ]";
}

}  // namespace

PipelineSchedule parse_schedule(std::string_view text, std::string_view source) {
  return ScheduleReader(source).read(parse_json(text, source));
}

PipelineSchedule read_schedule_file(const std::string& path) {
  return parse_schedule(read_text_file(path), path);
}

std::string schedule_text(const PipelineSchedule& schedule) {
  return concat(
      "{\n  \"name\": ", Json(schedule.name).dump(), ",\n  \"n_stages\": ", schedule.n_stages,
      ",\n  \"n_micro_batches\": ", schedule.n_micro_batches, ",\n  \"held\": ",
      lists_text(schedule.held, [](int32_t stage) { return std::to_string(stage); }),
      ",\n  \"ranks\": ",
      lists_text(schedule.ranks, [](const Action& a) { return '"' + to_text(a) + '"'; }), "\n}\n");
}

}  // namespace hadal
