#include "hadal/parallel/shard_layout.h"

#include <algorithm>
#include <numeric>

#include "hadal/ops/elementwise.h"

namespace hadal {
namespace {

// Of one group: every unit goes to whoever has the least so far.
class Dealer {
 public:
  Dealer(HolderGroup& group, int64_t bucket_bytes)
      : group_(group),
        bucket_elements_(bucket_bytes / int64_t{sizeof(float)}),
        owned_(group.ranks.size()) {}

  void deal(size_t param, const Tensor::Shape& shape, int64_t layer) {
    if (layer != layer_) in_bucket_ = bucket_elements_;  // the next begins
    layer_ = layer;
    const int64_t rows = shape[0], step = unit_rows(shape);
    const int64_t row_elements = shape.size() == 2 ? shape[1] : 1;
    for (int64_t first = 0; first < rows; first += step) {
      const int64_t last = std::min(rows, first + step);
      add({param, first, last, (last - first) * row_elements});
    }
  }

 private:
  void add(ShardUnit unit) {
    const auto least = std::ranges::min_element(owned_);
    unit.owner = static_cast<size_t>(least - owned_.begin());
    *least += unit.elements;
    if (group_.buckets.empty() || in_bucket_ + unit.elements > bucket_elements_) {
      group_.buckets.emplace_back();
      in_bucket_ = 0;
    }
    in_bucket_ += unit.elements;
    group_.buckets.back().push_back(unit);
  }

  HolderGroup& group_;
  int64_t bucket_elements_, in_bucket_ = 0, layer_ = -1;
  std::vector<int64_t> owned_;  // elements
};

}  // namespace

int64_t unit_rows(const Tensor::Shape& shape) {
  if (shape.size() != 2) return std::max<int64_t>(shape[0], 1);
  return std::max(kFp8Tile, kSquaresBlock / std::gcd(kSquaresBlock, shape[1]));
}

std::vector<HolderGroup> shard_layout(const Holders& holders, int rank,
                                      const std::vector<HeldParameter>& params,
                                      int64_t bucket_bytes) {
  std::vector<HolderGroup> groups;
  for (size_t g = 0; g < holders.groups.size(); ++g) {
    if (!std::ranges::binary_search(holders.groups[g], rank)) continue;
    HolderGroup& group = groups.emplace_back(HolderGroup{holders.groups[g], {}});
    Dealer dealer(group, bucket_bytes);
    for (size_t i = 0; i < params.size(); ++i) {
      if (holders.group_of[static_cast<size_t>(params[i].position)] == g) {
        dealer.deal(i, params[i].shape, params[i].layer);
      }
    }
  }
  return groups;
}

}  // namespace hadal
