#include "hadal/model/loss.h"

#include <algorithm>

namespace hadal {

double LossParts::total(const LossWeights& weights) const {
  double mtp_sum = 0.0;
  for (const double each : mtp) mtp_sum += each;
  const double mtp_mean = mtp.empty() ? 0.0 : mtp_sum / static_cast<double>(mtp.size());
  return ce + double{weights.mtp} * mtp_mean + double{weights.balance} * balance;
}

void LossParts::add(const LossParts& other) {
  ce += other.ce;
  balance += other.balance;
  mtp.resize(std::max(mtp.size(), other.mtp.size()), 0.0);
  for (size_t k = 0; k < other.mtp.size(); ++k) mtp[k] += other.mtp[k];
}

void add_load(ExpertLoad& sum, const ExpertLoad& load) {
  sum.resize(load.size());
  for (size_t layer = 0; layer < load.size(); ++layer) {
    sum[layer].resize(load[layer].size(), 0);
    for (size_t e = 0; e < load[layer].size(); ++e) sum[layer][e] += load[layer][e];
  }
}

}  // namespace hadal
