#include "hadal/plan_text/pipeline_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"
#include "hadal/plan_text/text_table.h"

namespace hadal::cli {
namespace {

// 66 sums of 0.1 make 6.599999999999995: twelve digits are all that the times given can mean.
double tidy(double value) { return std::strtod(printed("%.12g", value).c_str(), nullptr); }

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

double largest_bubble(const Simulation& simulation) {
  double largest = 0;
  for (const RankTimes& rank : simulation.ranks) largest = std::max(largest, rank.bubble);
  return largest;
}

int64_t largest_store(const Simulation& simulation) {
  int64_t largest = 0;
  for (const RankTimes& rank : simulation.ranks) largest = std::max(largest, rank.peak_activations);
  return largest;
}

template <class Value>
Json per_rank(const Simulation& simulation, Value RankTimes::*field) {
  Json list = Json::array();
  for (const RankTimes& rank : simulation.ranks) {
    if constexpr (std::is_same_v<Value, double>) {
      list.push_back(tidy(rank.*field));
    } else {
      list.push_back(rank.*field);
    }
  }
  return list;
}

Json causes_json(const RankTimes& rank) {
  Json entry;
  entry["warm_up"] = tidy(rank.warm_up);
  entry["waiting"] = tidy(rank.waiting);
  entry["cool_down"] = tidy(rank.cool_down);
  Json peers = Json::array();
  for (const auto& [peer, time] : rank.waiting_for) {
    Json waiting;
    waiting["rank"] = peer;
    waiting["time"] = tidy(time);
    peers.push_back(std::move(waiting));
  }
  entry["waiting_for"] = std::move(peers);
  entry["transfer"] = tidy(rank.transfer);
  return entry;
}

std::string list_text(const std::vector<int32_t>& values) {
  std::string text;
  for (const int32_t value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
  return text;
}

std::string waits_text(const RankTimes& rank) {
  std::string text;
  for (const auto& [peer, time] : rank.waiting_for) {
    text += concat(text.empty() ? "" : ", ", "rank ", peer, ": ", plain_number(time));
  }
  if (rank.transfer > 0) {
    text += concat(text.empty() ? "" : ", ", "transfers: ", plain_number(rank.transfer));
  }
  return text.empty() ? "-" : text;
}

std::string bubble_text(const PipelineResult& result) {
  const auto& ranks = result.simulation.ranks;
  const auto [low, high] = std::minmax_element(
      ranks.begin(), ranks.end(),
      [](const RankTimes& a, const RankTimes& b) { return a.bubble < b.bubble; });
  std::string text = plain_number(high->bubble) + " per rank";
  if (high->bubble - low->bubble > 1e-9 * result.simulation.makespan) {
    text = plain_number(low->bubble) + " to " + plain_number(high->bubble) + " per rank";
  }
  if (!result.formula) return text;
  text += "; formula " + result.formula->text + " = " + plain_number(result.formula->value);
  return text + (result.formula->applies() ? "" : ", not exact here: " + result.formula->departs);
}

}  // namespace

Json pipeline_json(const PipelineResult& result) {
  const Simulation& simulation = result.simulation;
  Json json;
  json["schedule"] = result.schedule.name;
  json["stages"] = result.schedule.n_stages;
  json["ranks"] = result.schedule.n_ranks;
  json["micro_batches"] = result.schedule.n_micro_batches;
  if (result.chunk != 1) json["chunk"] = result.chunk;
  json["checked"] = result.check.ok();
  json["makespan"] = tidy(simulation.makespan);
  json["bubble"] = tidy(largest_bubble(simulation));
  json["idle_share"] = tidy(simulation.idle_share());
  json["parameter_copies"] = parameter_copies(result.schedule);
  json["busy_per_rank"] = per_rank(simulation, &RankTimes::busy);
  json["bubble_per_rank"] = per_rank(simulation, &RankTimes::bubble);
  Json causes = Json::array();
  for (const RankTimes& rank : simulation.ranks) causes.push_back(causes_json(rank));
  json["bubble_causes_per_rank"] = std::move(causes);
  json["peak_activations_per_rank"] = per_rank(simulation, &RankTimes::peak_activations);
  json["peak_weight_queue_per_rank"] = per_rank(simulation, &RankTimes::peak_weight_queue);
  if (result.formula) {
    Json formula;
    formula["text"] = result.formula->text;
    formula["value"] = tidy(result.formula->value);
    formula["applies"] = result.formula->applies();
    if (!result.formula->applies()) formula["departs_because"] = result.formula->departs;
    json["bubble_formula"] = std::move(formula);
  }
  return json;
}

std::string pipeline_table(const PipelineResult& result, const std::string& times) {
  const PipelineSchedule& schedule = result.schedule;
  const Simulation& simulation = result.simulation;
  std::string text = concat(
      schedule_title(schedule.name), ": ", schedule.n_stages, " stages on ", schedule.n_ranks,
      " ranks, ", schedule.n_micro_batches, " micro-batches\n", times, "\n\nmakespan           ",
      plain_number(simulation.makespan), "\nidle               ", percent(simulation.idle_share()),
      " of all ranks' time\nbubble             ", bubble_text(result), "\nstored at most     ",
      largest_store(simulation), " chunks per rank\nparameters stored  ",
      plain_number(parameter_copies(schedule)), " times\n\n");
  TextTable table({"rank", "stages", "busy", "bubble", "share", "warm-up", "waiting", "cool-down",
                   "stored", "W queue", "waiting for"});
  const size_t shown = std::min(simulation.ranks.size(), kMaxRankLines);
  for (size_t rank = 0; rank < shown; ++rank) {
    const RankTimes& r = simulation.ranks[rank];
    table.add({std::to_string(rank), list_text(schedule.held[rank]), plain_number(r.busy),
               plain_number(r.bubble), percent(share(r.bubble, simulation.makespan)),
               plain_number(r.warm_up), plain_number(r.waiting), plain_number(r.cool_down),
               std::to_string(r.peak_activations), std::to_string(r.peak_weight_queue),
               waits_text(r)});
  }
  text += table.text({false, true, false, false, false, false, false, false, false, false, true});
  if (shown < simulation.ranks.size()) {
    text += concat("and ", simulation.ranks.size() - shown, " more ranks: see --json\n");
  }
  return text;
}

std::string comparison_table(const std::vector<PipelineResult>& results,
                             const std::vector<RefusedSchedule>& refused, const NameOf& option_of) {
  TextTable table(
      {"schedule", "ranks", "makespan", "bubble", "idle", "stored", "parameters", "ranks x time"});
  for (const PipelineResult& result : results) {
    const Simulation& simulation = result.simulation;
    table.add({schedule_title(result.schedule.name), std::to_string(result.schedule.n_ranks),
               plain_number(simulation.makespan), plain_number(largest_bubble(simulation)),
               percent(simulation.idle_share()),
               plain_number(result.chunk * static_cast<double>(largest_store(simulation))),
               plain_number(parameter_copies(result.schedule)) + "x",
               plain_number(simulation.makespan * result.schedule.n_ranks)});
  }
  std::string text = table.text({true, false, false, false, false, false, false, false});
  for (const RefusedSchedule& schedule : refused) {
    text +=
        schedule_title(schedule.name) + " is not possible: " + schedule.why.line(option_of) + "\n";
  }
  return text;
}

}  // namespace hadal::cli
