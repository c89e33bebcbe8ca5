// infer/token_record.h: what a request's tokens were made with: the experts that every row chose, and
// which ids the sampler had left to draw from. Training by reinforcement replays both, so that the
// trainer's model takes the ways that the rollout's took.
//
// Row i is token i, prompt first; the last token of an answer is never read and has none. Layers are
// the main model's with experts, in order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hadal/tensor/probe.h"

namespace hadal {

struct TokenRecord {
  int64_t n_layers = 0, top_k = 0;
  std::vector<int32_t> experts;  // [rows, n_layers, top_k], as the router lists them
  // Of generated token i: ids [mask_offsets[i], mask_offsets[i+1]) of mask_ids, ascending; none when
  // nothing was cut off and every id that may be written at all could be drawn.
  std::vector<int32_t> mask_offsets = {0}, mask_ids;

  int64_t n_rows() const;
  void add_mask(std::span<const int32_t> ids);
  void drop_rows(int64_t first);  // those from `first` on
  // What belongs to so many tokens.
  void cut(int64_t n_prompt, int64_t n_generated);
};

// Listens to one pass of the main model and hands its rows out. What `next` is, it hears as well.
class RoutingListener final : public Probe {
 public:
  explicit RoutingListener(Probe* next) : next_(next) {}
  void offer(std::string_view name, int layer, const Tensor& value) override;
  // Adds rows [begin, end) of the pass.
  void append_to(TokenRecord& record, int64_t begin, int64_t end) const;

 private:
  Probe* next_;
  int64_t top_k_ = 0;
  std::vector<std::vector<int32_t>> layers_;  // [rows of the pass, top_k] each
};

// The record as tensors: tokens [n], experts [rows, n_layers, top_k], mask_offsets [generated + 1] and
// mask_ids, I32.
std::vector<std::pair<std::string, Tensor>> record_tensors(const TokenRecord& record,
                                                           std::vector<int32_t> tokens);

}  // namespace hadal
