#include "hadal/infer/token_record.h"

#include <algorithm>
#include <memory>

namespace hadal {
namespace {

Tensor ids_tensor(std::vector<int32_t> ids, Tensor::Shape shape) {
  const auto owner = std::make_shared<const std::vector<int32_t>>(std::move(ids));
  return Tensor::borrowed(DType::kI32, std::move(shape), owner->data(), owner);
}

}  // namespace

int64_t TokenRecord::n_rows() const {
  return n_layers * top_k == 0 ? 0 : std::ssize(experts) / (n_layers * top_k);
}

void TokenRecord::add_mask(std::span<const int32_t> ids) {
  mask_ids.insert(mask_ids.end(), ids.begin(), ids.end());
  mask_offsets.push_back(static_cast<int32_t>(mask_ids.size()));
}

void TokenRecord::drop_rows(int64_t first) {
  experts.resize(static_cast<size_t>(std::min(first, n_rows()) * n_layers * top_k));
}

void TokenRecord::cut(int64_t n_prompt, int64_t n_generated) {
  drop_rows(n_prompt + n_generated - 1);
  mask_offsets.resize(static_cast<size_t>(n_generated) + 1);
  mask_ids.resize(static_cast<size_t>(mask_offsets.back()));
}

void RoutingListener::offer(std::string_view name, int layer, const Tensor& value) {
  if (next_ != nullptr) next_->offer(name, layer, value);
  if (name != "router.indices") return;
  top_k_ = value.dim(1);
  const Tensor on_host = value.to_host();
  const std::span<const int32_t> ids = on_host.flat<int32_t>();
  layers_.emplace_back(ids.begin(), ids.end());
}

void RoutingListener::append_to(TokenRecord& record, int64_t begin, int64_t end) const {
  record.n_layers = std::ssize(layers_);
  record.top_k = top_k_;
  for (int64_t i = begin; i < end; ++i) {
    for (const std::vector<int32_t>& layer : layers_) {
      const auto first = layer.begin() + static_cast<std::ptrdiff_t>(i * top_k_);
      record.experts.insert(record.experts.end(), first, first + top_k_);
    }
  }
}

std::vector<std::pair<std::string, Tensor>> record_tensors(const TokenRecord& record,
                                                           std::vector<int32_t> tokens) {
  const auto list = [](std::vector<int32_t> ids) {
    const int64_t n = std::ssize(ids);
    return ids_tensor(std::move(ids), {n});
  };
  std::vector<std::pair<std::string, Tensor>> result;
  result.emplace_back("tokens", list(std::move(tokens)));
  result.emplace_back("experts",
                      ids_tensor(record.experts, {record.n_rows(), record.n_layers, record.top_k}));
  result.emplace_back("mask_offsets", list(record.mask_offsets));
  result.emplace_back("mask_ids", list(record.mask_ids));
  return result;
}

}  // namespace hadal
