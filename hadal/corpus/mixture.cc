#include "hadal/corpus/mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>

namespace hadal {
namespace {

// Takes files in their order, as long as something is left.
std::vector<bool> files_that_fit(std::span<const int64_t> sizes, int64_t& left) {
  std::vector<bool> taken(sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) {
    taken[i] = sizes[i] <= left;
    if (taken[i]) left -= sizes[i];
  }
  return taken;
}

}  // namespace

Mixture mix(std::span<const MixedDocument> documents, std::span<const double> shares) {
  Mixture mixture{std::vector<bool>(documents.size()), {}, std::vector<int64_t>(shares.size())};
  std::vector<std::vector<size_t>> of_source(shares.size());
  std::vector<int64_t> there(shares.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    const auto source = static_cast<size_t>(documents[i].source);
    of_source[source].push_back(i);
    there[source] += documents[i].size;
  }
  double per_share = std::numeric_limits<double>::infinity();
  for (size_t s = 0; s < shares.size(); ++s) {
    per_share = std::min(per_share, static_cast<double>(there[s]) / shares[s]);
  }
  for (size_t s = 0; s < shares.size(); ++s) {
    std::vector<size_t>& order = of_source[s];
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::tie(documents[a].hash, a) < std::tie(documents[b].hash, b);
    });
    // Whatever still fits: behind the first that does not, smaller ones fill what is left.
    const int64_t wanted = std::llround(per_share * shares[s]);
    int64_t left = wanted;
    for (const size_t i : order) {
      const int64_t before = left;
      if (documents[i].size <= left) {
        left -= documents[i].size;
      } else {
        std::vector<bool> files = files_that_fit(documents[i].file_sizes, left);
        if (left < before) mixture.files[i] = std::move(files);
      }
      mixture.taken[i] = left < before;
    }
    mixture.size[s] = wanted - left;
  }
  return mixture;
}

double largest_deviation(std::span<const int64_t> sizes, std::span<const double> shares) {
  const double size = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}));
  const double share = std::accumulate(shares.begin(), shares.end(), 0.0);
  double largest = 0.0;
  for (size_t s = 0; s < shares.size(); ++s) {
    const double part = size > 0 ? static_cast<double>(sizes[s]) / size : 0.0;
    largest = std::max(largest, std::abs(part - shares[s] / share));
  }
  return largest;
}

}  // namespace hadal
