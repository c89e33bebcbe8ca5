// Order of the steps (docs/inference.md, "Sampling"): penalties, temperature, top-k, top-p,
// min-p, renormalisation.
#include "hadal/infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"

namespace hadal {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

size_t usable_ids(size_t vocabulary, int64_t n_usable_ids) {
  if (n_usable_ids <= 0) return vocabulary;
  return std::min(vocabulary, static_cast<size_t>(n_usable_ids));
}

// What a token's logit loses or gains for having been seen.
struct Seen {
  bool anywhere = false;  // prompt or generated
  int64_t generated = 0;
};

void apply_penalties(std::vector<double>& logits, const SamplingOptions& options,
                     std::span<const int32_t> history, int64_t n_generated) {
  const bool any = options.repetition_penalty != 1.0 || options.presence_penalty != 0.0 ||
                   options.frequency_penalty != 0.0;
  if (!any) return;
  std::unordered_map<int32_t, Seen> seen;
  const size_t first_generated = history.size() - static_cast<size_t>(n_generated);
  for (size_t i = 0; i < history.size(); ++i) {
    Seen& entry = seen[history[i]];
    entry.anywhere = true;
    if (i >= first_generated) ++entry.generated;
  }
  for (const auto& [id, entry] : seen) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    double& logit = logits[static_cast<size_t>(id)];
    if (entry.anywhere) {
      logit = logit > 0 ? logit / options.repetition_penalty : logit * options.repetition_penalty;
    }
    if (entry.generated > 0) {
      logit -= options.presence_penalty +
               options.frequency_penalty * static_cast<double>(entry.generated);
    }
  }
}

[[noreturn]] void throw_no_candidate() {
  throw Error(
      "logits: no token can be chosen (found NaN or only -infinity, expected finite numbers); the "
      "checkpoint is damaged, verify it with `hadal inspect --verify`");
}

size_t argmax_of(const std::vector<double>& logits, size_t n) {
  size_t best = n;
  double best_logit = kMinusInfinity;
  for (size_t i = 0; i < n; ++i) {
    if (logits[i] > best_logit) {
      best = i;
      best_logit = logits[i];
    }
  }
  if (best == n) throw_no_candidate();
  return best;
}

// Keeps the `top_k` most probable ids, then of those the smallest set that reaches `top_p`; zero
// for the rest. Equal probabilities: the lower id counts as the more probable one.
void keep_most_probable(std::vector<double>& p, int64_t top_k, double top_p) {
  std::vector<int32_t> heap;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] > 0) heap.push_back(static_cast<int32_t>(i));
  }
  const auto less_probable = [&p](int32_t a, int32_t b) {
    const double pa = p[static_cast<size_t>(a)], pb = p[static_cast<size_t>(b)];
    return pa != pb ? pa < pb : a > b;
  };
  // A heap, because the kept set is usually a handful of a vocabulary of 129280.
  std::make_heap(heap.begin(), heap.end(), less_probable);
  const size_t n_max = top_k > 0 ? std::min(heap.size(), static_cast<size_t>(top_k)) : heap.size();
  std::vector<int32_t> kept;
  double mass = 0.0;
  auto end = heap.end();
  while (kept.size() < n_max) {
    std::pop_heap(heap.begin(), end, less_probable);
    --end;
    kept.push_back(*end);
    mass += p[static_cast<size_t>(*end)];
  }
  if (top_p < 1.0) {  // the share is counted within what top-k left
    double reached = 0.0;
    size_t n = 0;
    while (n < kept.size() && reached < top_p * mass) {
      reached += p[static_cast<size_t>(kept[n])];
      ++n;
    }
    kept.resize(n);
  }
  std::vector<double> filtered(p.size(), 0.0);
  for (const int32_t id : kept) filtered[static_cast<size_t>(id)] = p[static_cast<size_t>(id)];
  p = std::move(filtered);
}

// An exponential race: the smallest E_i / w_i wins, E_i exponential of mean 1, which is i with
// probability w_i / sum w. Racer i takes the i-th number of `rng` whatever the weights are, so weights
// that differ little have the same winner as a rule. The number of racers if no weight is positive.
size_t race(Rng rng, std::span<const double> weights) {
  size_t best = weights.size();
  double best_time = 0.0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double exponential = -std::log1p(-rng.uniform());
    if (weights[i] <= 0.0) continue;
    const double time = exponential / weights[i];
    if (best == weights.size() || time < best_time) {
      best = i;
      best_time = time;
    }
  }
  return best;
}

}  // namespace

void SamplingOptions::validate() const {
  require(std::isfinite(temperature) && temperature >= 0.0,
          {.field = "temperature",
           .problem = "out of range",
           .found = temperature,
           .expected = "0 or more",
           .advice = "0 always takes the most probable token"});
  require(top_k >= 0, {.field = "top_k",
                       .problem = "out of range",
                       .found = top_k,
                       .expected = "0 or more",
                       .advice = "0 switches it off"});
  require(top_p > 0.0 && top_p <= 1.0, {.field = "top_p",
                                        .problem = "out of range",
                                        .found = top_p,
                                        .expected = "more than 0, at most 1",
                                        .advice = "1 switches it off"});
  require(min_p >= 0.0 && min_p <= 1.0, {.field = "min_p",
                                         .problem = "out of range",
                                         .found = min_p,
                                         .expected = "0 to 1",
                                         .advice = "0 switches it off"});
  require(std::isfinite(repetition_penalty) && repetition_penalty > 0.0,
          {.field = "repetition_penalty",
           .problem = "out of range",
           .found = repetition_penalty,
           .expected = "more than 0",
           .advice = "1 switches it off"});
  require(presence_penalty >= -2.0 && presence_penalty <= 2.0, {.field = "presence_penalty",
                                                                .problem = "out of range",
                                                                .found = presence_penalty,
                                                                .expected = "-2 to 2",
                                                                .advice = "0 switches it off"});
  require(frequency_penalty >= -2.0 && frequency_penalty <= 2.0, {.field = "frequency_penalty",
                                                                  .problem = "out of range",
                                                                  .found = frequency_penalty,
                                                                  .expected = "-2 to 2",
                                                                  .advice = "0 switches it off"});
}

std::vector<double> sampling_distribution(std::span<const float> logits,
                                          const SamplingOptions& options,
                                          std::span<const int32_t> history, int64_t n_generated) {
  const size_t n = usable_ids(logits.size(), options.n_usable_ids);
  std::vector<double> p(logits.begin(), logits.end());
  apply_penalties(p, options, history, n_generated);
  for (const int32_t id : options.suppressed_ids) {
    if (static_cast<size_t>(id) < p.size()) p[static_cast<size_t>(id)] = kMinusInfinity;
  }
  const size_t best = argmax_of(p, n);
  if (options.temperature == 0.0) {
    std::fill(p.begin(), p.end(), 0.0);
    p[best] = 1.0;
    return p;
  }
  const double largest = p[best];
  for (size_t i = 0; i < p.size(); ++i) {
    p[i] = i < n ? std::exp((p[i] - largest) / options.temperature) : 0.0;
    if (std::isnan(p[i])) throw_no_candidate();
  }
  if (options.top_k > 0 || options.top_p < 1.0) {
    // top-p speaks of shares, so it comes after the division by the sum of what top-k kept.
    keep_most_probable(p, options.top_k, options.top_p);
  }
  for (double& value : p) {
    if (value < options.min_p) value = 0.0;  // the best one's is 1 here
  }
  double sum = 0.0;
  for (const double value : p) sum += value;
  for (double& value : p) value /= sum;
  return p;
}

// In two rounds, groups of ids and then the ids of the winner: a number for each of 129280 ids would
// cost more than the softmax does.
int32_t draw(std::span<const double> p, uint64_t seed, int64_t position) {
  constexpr size_t kGroup = 64;
  const uint64_t stream = static_cast<uint64_t>(position);
  std::vector<double> groups((p.size() + kGroup - 1) / kGroup);
  for (size_t i = 0; i < p.size(); ++i) groups[i / kGroup] += p[i];
  const size_t group = race(Rng(seed, stream), groups);
  const size_t first = group * kGroup;
  // Behind the numbers of the groups; a block of the generator holds those of two ids.
  const uint64_t block = (uint64_t{1} << 32) + first / 2;
  const Rng rng(RngState{.seed = seed, .stream = stream, .block = block, .used = 4});
  return static_cast<int32_t>(first +
                              race(rng, p.subspan(first, std::min(kGroup, p.size() - first))));
}

int32_t argmax(std::span<const float> logits, int64_t n_usable_ids) {
  const size_t n = usable_ids(logits.size(), n_usable_ids);
  size_t best = n;
  float best_logit = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < n; ++i) {
    if (logits[i] > best_logit) {
      best = i;
      best_logit = logits[i];
    }
  }
  if (best == n) throw_no_candidate();
  return static_cast<int32_t>(best);
}

int32_t choose_token(std::span<const float> logits, const SamplingOptions& options,
                     std::span<const int32_t> history, int64_t n_generated,
                     std::vector<int32_t>* candidates) {
  if (options.is_plain_greedy()) {
    const int32_t token = argmax(logits, options.n_usable_ids);
    if (candidates != nullptr) *candidates = {token};
    return token;
  }
  const std::vector<double> p = sampling_distribution(logits, options, history, n_generated);
  if (candidates != nullptr) {
    candidates->clear();
    for (size_t i = 0; i < p.size() && options.cuts(); ++i) {
      if (p[i] > 0.0) candidates->push_back(static_cast<int32_t>(i));
    }
  }
  return draw(p, options.seed, n_generated);
}

}  // namespace hadal
