#include "hadal/train/layer_figures.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "hadal/model/hf_names.h"
#include "hadal/ops/elementwise.h"

namespace hadal {
namespace {

std::string of_layer(const char* name, size_t layer) {
  return concat(name, "/layer_", layer < 10 ? "0" : "", layer);
}

// Of an expert's three matrices, which stand one after another.
std::vector<double> expert_norms(const std::vector<double>& squares) {
  std::vector<double> norms;
  for (size_t i = 0; i + 2 < squares.size(); i += 3) {
    norms.push_back(std::sqrt(squares[i] + squares[i + 1] + squares[i + 2]));
  }
  return norms;
}

double max_over_mean(const std::vector<double>& values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  if (values.empty() || sum == 0.0) return 0.0;
  return *std::max_element(values.begin(), values.end()) * static_cast<double>(values.size()) / sum;
}

}  // namespace

double LayerOutput::rms() const {
  return elements > 0 ? std::sqrt(sum_of_squares / static_cast<double>(elements)) : 0.0;
}

void OutputProbe::offer(std::string_view name, int layer, const Tensor& value) {
  if (ctx_.probe != nullptr) ctx_.probe->offer(name, layer, value);
  if ((name != "hidden" && name != "mtp.hidden") || layer < 0) return;
  if (outputs_.size() <= static_cast<size_t>(layer))
    outputs_.resize(static_cast<size_t>(layer) + 1);
  LayerOutput& output = outputs_[static_cast<size_t>(layer)];
  const double largest = largest_magnitude(ctx_, value.flat<float>());
  if (std::isnan(largest) || largest > output.largest) output.largest = largest;
  output.sum_of_squares += sum_of_squares(ctx_, value.flat<float>());
  output.elements += value.size();
}

void add_gradient_figures(LayerFigures& figures, const GradientNorm& norm,
                          const std::vector<Trainable>& params, const ExpertLoad& load) {
  std::vector<double> squares(load.size(), 0.0);
  std::vector<std::vector<double>> of_experts(load.size());
  double embedding = 0.0, head = 0.0;
  for (size_t i = 0; i < params.size(); ++i) {
    const WeightClass kind = hf_class_of(params[i].name);
    if (kind == WeightClass::kEmbedding) embedding += norm.squares[i];
    if (kind == WeightClass::kHead) head += norm.squares[i];
    const int64_t layer = hf_layer_of(params[i].name);
    if (layer < 0 || layer >= static_cast<int64_t>(load.size())) continue;
    squares[static_cast<size_t>(layer)] += norm.squares[i];
    if (kind == WeightClass::kExperts) {
      of_experts[static_cast<size_t>(layer)].push_back(norm.squares[i]);
    }
  }
  figures.embedding_grad_norm = std::sqrt(embedding);
  figures.head_grad_norm = std::sqrt(head);
  for (size_t layer = 0; layer < load.size(); ++layer) {
    figures.grad_norms.push_back(std::sqrt(squares[layer]));
    figures.expert_grad_max_over_mean.push_back(max_over_mean(expert_norms(of_experts[layer])));
    figures.idle_experts.push_back(
        load[layer].empty() ? -1 : std::count(load[layer].begin(), load[layer].end(), 0));
  }
}

Json layer_metrics(const LayerFigures& figures) {
  Json json = Json::object();
  for (size_t layer = 0; layer < figures.outputs.size(); ++layer) {
    json[of_layer("layers/output_max", layer)] = figures.outputs[layer].largest;
    json[of_layer("layers/output_rms", layer)] = figures.outputs[layer].rms();
  }
  for (size_t layer = 0; layer < figures.grad_norms.size(); ++layer) {
    json[of_layer("layers/grad_norm", layer)] = figures.grad_norms[layer];
    if (figures.idle_experts[layer] < 0) continue;
    json[of_layer("moe/expert_grad_max_over_mean", layer)] =
        figures.expert_grad_max_over_mean[layer];
    json[of_layer("moe/idle_experts", layer)] = figures.idle_experts[layer];
  }
  if (!figures.grad_norms.empty()) {
    json["layers/grad_norm/embedding"] = figures.embedding_grad_norm;
    json["layers/grad_norm/head"] = figures.head_grad_norm;
  }
  return json;
}

}  // namespace hadal
