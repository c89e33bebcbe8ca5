#include "hadal/parallel/step_losses.h"

#include "hadal/comm/collectives.h"

namespace hadal {

StepLosses StepLosses::none(const ModelConfig& config, size_t n_micro_batches) {
  const auto n_mtp = static_cast<size_t>(config.n_mtp);
  const size_t n_layers = static_cast<size_t>(config.n_layers) + n_mtp;
  StepLosses losses;
  losses.micro_batches.resize(
      n_micro_batches, {0.0, std::vector<double>(n_mtp, 0.0), std::vector<double>(n_layers, 0.0)});
  losses.load.resize(n_layers);
  for (size_t layer = 0; layer < n_layers; ++layer) {
    if (config.is_moe(static_cast<int64_t>(layer))) {
      losses.load[layer].resize(static_cast<size_t>(config.router.n_routed_experts), 0);
    }
  }
  return losses;
}

StepTotals add_up(const StepLosses& losses) {
  StepTotals totals{{}, losses.load};
  for (const MicroBatchLosses& each : losses.micro_batches) {
    LossParts parts{.ce = each.ce, .balance = 0.0, .mtp = each.mtp};
    for (const double of_layer : each.balance) parts.balance += of_layer;
    totals.loss.add(parts);
  }
  return totals;
}

// Every number is of one rank and 0 on all others: a sum over ranks moves it without changing it.
StepTotals gather_losses(const ParallelConfig& config, RankCoordinates at, Communicator& world,
                         const StepLosses& own, Arena& arena) {
  const size_t n_own = own.micro_batches.size();
  StepLosses all{std::vector<MicroBatchLosses>(n_own * static_cast<size_t>(config.data)), own.load};
  for (size_t m = 0; m < all.micro_batches.size(); ++m) {
    const bool is_own = m / n_own == static_cast<size_t>(at.replica);
    all.micro_batches[m] = own.micro_batches[m % n_own];
    if (is_own) continue;
    MicroBatchLosses& other = all.micro_batches[m];
    other = {0.0, std::vector<double>(other.mtp.size(), 0.0),
             std::vector<double>(other.balance.size(), 0.0)};
  }
  std::vector<double> values;
  for (const MicroBatchLosses& each : all.micro_batches) {
    values.push_back(each.ce);
    values.insert(values.end(), each.mtp.begin(), each.mtp.end());
    values.insert(values.end(), each.balance.begin(), each.balance.end());
  }
  std::vector<int64_t> loads;
  for (const auto& layer : all.load) loads.insert(loads.end(), layer.begin(), layer.end());
  all_reduce_sum(world, values, arena);
  all_reduce_sum(world, loads, arena);

  size_t next = 0;
  for (MicroBatchLosses& each : all.micro_batches) {
    each.ce = values[next++];
    for (double& value : each.mtp) value = values[next++];
    for (double& value : each.balance) value = values[next++];
  }
  next = 0;
  for (auto& layer : all.load) {
    for (int64_t& count : layer) count = loads[next++];
  }
  return add_up(all);
}

}  // namespace hadal
