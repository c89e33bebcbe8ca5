// kernels/cpu/top_k.h: the choice of experts for one token, without allocating per token.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "hadal/kernels/router_config.h"

namespace hadal::cpu {

// Keeps the largest of the values offered, ids ascending: ties go to the lower id, NaN never beats
// a number.
class TopK {
 public:
  explicit TopK(int64_t k) : best_(static_cast<size_t>(k)) {}

  void clear() { n_ = 0; }
  void offer(float value, int32_t id) {
    if (n_ == best_.size() && !beats(value, best_[n_ - 1].value)) return;
    size_t at = n_ < best_.size() ? n_++ : n_ - 1;
    for (; at > 0 && beats(value, best_[at - 1].value); --at) best_[at] = best_[at - 1];
    best_[at] = {value, id};
  }
  // The ids kept, ascending.
  void take_ids(std::span<int32_t> ids) const {
    for (size_t i = 0; i < n_; ++i) ids[i] = best_[i].id;
    std::sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n_));
  }

 private:
  struct Entry {
    float value;
    int32_t id;
  };
  static bool beats(float a, float b) { return a > b || (std::isnan(b) && !std::isnan(a)); }

  std::vector<Entry> best_;
  size_t n_ = 0;
};

class ExpertChooser {
 public:
  explicit ExpertChooser(const RouterConfig& config)
      : config_(config),
        grouped_(config.method != TopkMethod::kGreedy && config.n_group > 1),
        top_experts_(config.top_k),
        top_groups_(config.topk_group),
        kept_groups_(static_cast<size_t>(config.topk_group)) {}

  // chosen [top_k], ascending, from the (biased) scores of all experts.
  void choose(std::span<const float> choice, std::span<int32_t> chosen) {
    top_experts_.clear();
    if (!grouped_) {
      offer_experts(choice, 0, choice.size());
    } else {
      const size_t group_size = choice.size() / static_cast<size_t>(config_.n_group);
      top_groups_.clear();
      for (size_t g = 0; g < static_cast<size_t>(config_.n_group); ++g) {
        const float score = group_score(choice.subspan(g * group_size, group_size));
        top_groups_.offer(score, static_cast<int32_t>(g));
      }
      top_groups_.take_ids(kept_groups_);
      for (const int32_t g : kept_groups_) {
        const size_t begin = static_cast<size_t>(g) * group_size;
        offer_experts(choice, begin, begin + group_size);
      }
    }
    top_experts_.take_ids(chosen);
  }

 private:
  void offer_experts(std::span<const float> choice, size_t begin, size_t end) {
    for (size_t e = begin; e < end; ++e) top_experts_.offer(choice[e], static_cast<int32_t>(e));
  }
  // Sum of the two largest (noaux_tc), or the largest (group_limited_greedy).
  float group_score(std::span<const float> group) const {
    float first = group[0], second = -INFINITY;
    for (const float value : group.subspan(1)) {
      second = std::max(second, std::min(first, value));
      first = std::max(first, value);
    }
    return config_.method == TopkMethod::kNoauxTc && group.size() > 1 ? first + second : first;
  }

  RouterConfig config_;
  bool grouped_;
  TopK top_experts_, top_groups_;
  std::vector<int32_t> kept_groups_;
};

}  // namespace hadal::cpu
