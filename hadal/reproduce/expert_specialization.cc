// reproduce/expert_specialization.cc: do experts take to a kind of text? (arXiv:2412.19437 section 4.5.3,
// figure 9)
#include <algorithm>
#include <cmath>
#include <numeric>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"
#include "hadal/corpus/corpus.h"
#include "hadal/io/path_status.h"
#include "hadal/reproduce/expert_choices.h"
#include "hadal/reproduce/makers.h"
#include "hadal/reproduce/training_shape.h"

namespace hadal {
namespace {

constexpr const char* kFreeExperts = "loss-free";
constexpr const char* kHeldExperts = "auxiliary loss";

TrainConfig specialised_run(const Effort& effort, const std::string& variant) {
  TrainConfig config = half_nano(effort);
  if (variant == kHeldExperts) balance_by_loss(config);
  return config;
}

struct Domain {
  std::string name, folder;
};

// The folders of the text: each is a kind of its own.
std::vector<Domain> domains_of(const std::vector<std::string>& text) {
  std::vector<Domain> domains;
  for (const std::string& path : text) {
    if (!is_folder(path)) continue;
    for (const std::string& name : entry_names(path)) {
      if (is_folder(path + "/" + name)) domains.push_back({name, path + "/" + name});
    }
  }
  require(domains.size() >= 2, {.field = "text",
                                .problem = "the text has no kinds to compare",
                                .found = {domains.size(), " folders in it"},
                                .expected = "a folder with a folder for each kind of text",
                                .advice = "name one such folder"});
  return domains;
}

// The first `n_tokens` of a domain's held-out documents, cut to whole rows.
std::vector<int32_t> domain_tokens(const FinishedRun& trained, const TrainConfig& run,
                                   const Domain& domain, int64_t n_tokens) {
  CorpusOptions options = run.data.corpus;
  const Corpus corpus = Corpus::scan(list_source_files({domain.folder}), options);
  std::vector<int32_t> tokens;
  corpus.for_each(Split::kValidation, [&](const Document& document, const ContentHash&) {
    if (static_cast<int64_t>(tokens.size()) >= n_tokens) return;
    const std::vector<int32_t> ids = trained.data.tokenizer.encode(document.text, false);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  });
  const int64_t whole = std::min(n_tokens, static_cast<int64_t>(tokens.size())) /
                        run.train.seq_len * run.train.seq_len;
  require(whole > 0, {.place = domain.folder,
                      .problem = "too little held-out text",
                      .found = {tokens.size(), " tokens"},
                      .expected = {run.train.seq_len, " or more"}});
  tokens.resize(static_cast<size_t>(whole));
  return tokens;
}

// Load over the mean load of the layer's experts.
std::vector<double> relative(const std::vector<int64_t>& counts) {
  const double mean =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0})) /
      static_cast<double>(counts.size());
  std::vector<double> result;
  for (const int64_t count : counts) result.push_back(static_cast<double>(count) / mean);
  return result;
}

// [domains][E] of one layer: the mean over the experts of how far an expert's relative load spreads over
// the domains (standard deviation).
double spread_over_domains(const std::vector<std::vector<double>>& load) {
  double sum = 0.0;
  const size_t n_experts = load.front().size();
  for (size_t e = 0; e < n_experts; ++e) {
    double mean = 0.0, square = 0.0;
    for (const std::vector<double>& domain : load)
      mean += domain[e] / static_cast<double>(load.size());
    for (const std::vector<double>& domain : load) {
      square += (domain[e] - mean) * (domain[e] - mean) / static_cast<double>(load.size());
    }
    sum += std::sqrt(square);
  }
  return sum / static_cast<double>(n_experts);
}

HeatMap load_map(const std::string& variant, size_t layer, const std::vector<Domain>& domains,
                 const std::vector<std::vector<double>>& load) {
  HeatMap map;
  map.title = concat(variant, ", layer ", layer, ": load of an expert over the mean expert's");
  map.row_name = "text";
  map.column_name = "expert";
  for (size_t e = 0; e < load.front().size(); ++e) map.columns.push_back(std::to_string(e));
  for (size_t d = 0; d < domains.size(); ++d) {
    map.rows.push_back(domains[d].name);
    std::vector<double>& shade = map.share.emplace_back();
    std::vector<std::string>& text = map.text.emplace_back();
    for (const double each : load[d]) {
      shade.push_back(each / 4.0);  // darkest from four times the mean on
      text.push_back(printed("%.2f", each));
    }
  }
  return map;
}

void measure_specialization(Context& ctx, const Trial& trial, Outcome& outcome) {
  read_summary(*trial.run, outcome);
  const FinishedRun trained(ctx, *trial.run);
  const std::vector<Domain> domains = domains_of(trial.run->data.paths);
  std::vector<ExpertCounts> counts(domains.size());
  for (size_t d = 0; d < domains.size(); ++d) {
    const std::vector<int32_t> tokens =
        domain_tokens(trained, *trial.run, domains[d], trial.quick ? 256 : 32768);
    add_choices(ctx, trained.model, tokens, trial.run->train.seq_len, counts[d]);
  }
  double sum = 0.0, layers = 0.0;
  for (size_t layer = 0; layer < counts.front().size(); ++layer) {
    if (counts.front()[layer].empty()) continue;
    std::vector<std::vector<double>> load;
    for (const ExpertCounts& domain : counts) load.push_back(relative(domain[layer]));
    sum += spread_over_domains(load);
    layers += 1.0;
    if (layer + 1 == counts.front().size()) {
      outcome.maps.push_back(load_map(trial.variant, layer, domains, load));
    }
  }
  outcome.figures["specialization"] = sum / layers;
}

}  // namespace

Experiment make_expert_specialization() {
  Experiment e;
  e.name = "expert-specialization";
  e.claim =
      "Experts that are balanced over the batch, by biases, take to kinds of text; a loss that "
      "balances every sequence holds them back.";
  e.reported =
      "relative loads per domain of the Pile, two layers of a 15.7B model, as pictures (figure 9)";
  e.varied =
      "how the experts are balanced; then the same held-out text of every folder of the training "
      "text is read, and the choices counted";
  e.limits =
      "Kinds of technical documentation, which are closer to each other than the Pile's domains";
  e.variants = {kFreeExperts, kHeldExperts};
  e.figures = {{"specialization",
                "spread of an expert's relative load over the kinds of text (standard deviation)"},
               {"val_loss", "held-out loss, nats per token"},
               {"max_violation", "maximum violation, last tenth of the steps"}};
  e.claims = {{.text = "loads differ more from kind to kind without the loss",
               .reported = "to be seen in figure 9",
               .figure = "specialization",
               .variant = kFreeExperts,
               .baseline = kHeldExperts,
               .higher = true}};
  e.default_tokens = 2'000'000;
  e.training = specialised_run;
  e.measure = measure_specialization;
  e.trains_variants = true;
  return e;
}

}  // namespace hadal
