#include "hadal/infer/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hadal {
namespace {

Json json_of(const Logprob& value) {
  Json json = Json::object();
  json["token"] = int64_t{value.token};
  json["logprob"] = value.logprob;
  return json;
}

}  // namespace

TokenLogprobs logprobs_of(std::span<const float> logits, int32_t token, int64_t n_top,
                          int64_t n_usable_ids) {
  if (n_usable_ids > 0) logits = logits.first(static_cast<size_t>(n_usable_ids));
  const double largest = *std::ranges::max_element(logits);
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  const double log_sum = largest + std::log(sum);
  const auto at = [&](int32_t id) {
    return Logprob{id, double{logits[static_cast<size_t>(id)]} - log_sum};
  };
  TokenLogprobs result{at(token), {}};
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + std::min(n_top, std::ssize(ids));
  std::partial_sort(ids.begin(), end, ids.end(), [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  for (auto id = ids.begin(); id != end; ++id) result.top.push_back(at(*id));
  return result;
}

Json logprobs_json(std::span<const TokenLogprobs> tokens) {
  Json::Array list;
  for (const TokenLogprobs& token : tokens) {
    Json::Array top;
    for (const Logprob& other : token.top) top.push_back(json_of(other));
    list.push_back(json_of(token));
    list.back()["top_logprobs"] = std::move(top);
  }
  return list;
}

}  // namespace hadal
