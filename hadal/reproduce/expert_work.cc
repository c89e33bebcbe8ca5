#include "hadal/reproduce/expert_work.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "hadal/core/error.h"
#include "hadal/model/checkpoint.h"
#include "hadal/schedule/expert_balance.h"
#include "hadal/train/metrics.h"

namespace hadal {
namespace {

using Loads = std::vector<std::vector<double>>;  // [layers with experts][E] tokens

Loads loads_of(const Json& record) {
  Loads loads;
  for (const Json& layer : record.as_array()) {
    if (layer.as_array().empty()) continue;
    std::vector<double>& row = loads.emplace_back();
    for (const Json& tokens : layer.as_array()) row.push_back(tokens.as_number());
  }
  return loads;
}

void require_all_tokens(const Loads& loads, int64_t choices, int64_t step) {
  for (const std::vector<double>& layer : loads) {
    const double sum = std::accumulate(layer.begin(), layer.end(), 0.0);
    if (sum != static_cast<double>(choices)) {
      throw Error(concat("step ", step, ": ", sum, " choices reached an expert, ", choices,
                         " were made: tokens were dropped"));
    }
  }
}

double idle_share(const Loads& loads) {
  int64_t idle = 0, all = 0;
  for (const std::vector<double>& layer : loads) {
    const double mean =
        std::accumulate(layer.begin(), layer.end(), 0.0) / static_cast<double>(layer.size());
    idle += std::count_if(layer.begin(), layer.end(),
                          [&](double tokens) { return tokens < 0.1 * mean; });
    all += static_cast<int64_t>(layer.size());
  }
  return static_cast<double>(idle) / static_cast<double>(std::max<int64_t>(all, 1));
}

}  // namespace

ExpertWork expert_work(const TrainConfig& run, int64_t n_ranks) {
  const ModelConfig shape = load_config(run.train.out + "/latest");
  const int64_t choices = run.train.batch_sequences * run.train.seq_len * shape.router.top_k;
  std::vector<Loads> records;
  for (const Json& line : read_metrics(run.train.out, std::numeric_limits<int64_t>::max())) {
    const Json* record = line.find("moe/load");
    if (!record) continue;
    records.push_back(loads_of(*record));
    require_all_tokens(records.back(), choices, line.at("step").as_integer());
  }
  ExpertWork work;
  const size_t first = records.size() / 2;
  for (size_t i = first; i < records.size(); ++i) {
    const auto n_layers = static_cast<int64_t>(records[i].size());
    const ExpertPlacement in_order =
        place_in_order(n_layers, shape.router.n_routed_experts, n_ranks);
    work.idle_experts += 100.0 * idle_share(records[i]);
    work.lost += 100.0 * (1.0 - balancedness(records[i], in_order, n_ranks).mean);
  }
  const auto n = static_cast<double>(std::max<size_t>(records.size() - first, 1));
  work.idle_experts /= n;
  work.lost /= n;
  return work;
}

}  // namespace hadal
