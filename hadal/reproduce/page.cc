#include "hadal/reproduce/page.h"

#include <cmath>

#include "hadal/core/number_text.h"
#include "hadal/core/thread_pool.h"
#include "hadal/io/atomic_write.h"
#include "hadal/kernels/cpu/roof_probe.h"

namespace hadal {
namespace {

std::string number(double value) { return printed("%.4g", value); }

std::string spread_text(const Spread& s) {
  if (s.seeds == 0) return "";
  if (s.seeds == 1) return number(s.mean);
  return concat(number(s.mean), " (", number(s.low), " to ", number(s.high), ")");
}

std::string row(const std::vector<std::string>& cells) {
  std::string text = "|";
  for (const std::string& cell : cells) text += " " + cell + " |";
  return text + "\n";
}

std::string rule(size_t columns) {
  std::string text = "|";
  for (size_t i = 0; i < columns; ++i) text += "---|";
  return text + "\n";
}

// Of two that are the same within a bound: the gap's share, and whether it is more than chance.
std::string beside_noise(const Claim& claim, const ComparedVariants& c) {
  if (claim.within <= 0 || c.baseline.mean == 0) return "";
  return concat(", ", printed("%+.3f %%", 100.0 * c.gap / std::abs(c.baseline.mean)), " of ",
                printed("%.2f %%", 100.0 * claim.within), "; the gap is ",
                std::abs(c.gap) > c.floor() ? "above" : "below", " the noise floor");
}

std::string claims_table(const Reproduction& result) {
  std::string text = row({"claim", "published", "here", "against", "gap", "floor: seeds",
                          "floor: order of sums", "verdict"}) +
                     rule(8);
  for (size_t i = 0; i < result.comparisons.size(); ++i) {
    const Claim& claim = result.experiment->claims[i];
    const ComparedVariants& c = result.comparisons[i];
    text +=
        row({claim.text, claim.reported, concat(claim.variant, ": ", spread_text(c.variant)),
             concat(claim.baseline, ": ", spread_text(c.baseline)),
             concat(number(c.gap), " (", number(c.gap_low), " to ", number(c.gap_high), ")"),
             number(c.floor_seeds), result.experiment->trains_variants ? number(c.floor_order) : "",
             concat("**", verdict_text(c.verdict), "**", beside_noise(claim, c))});
  }
  return text;
}

std::string figures_table(const Reproduction& result) {
  const Experiment& e = *result.experiment;
  std::vector<std::string> head = {"mean (lowest to highest seed)"};
  head.insert(head.end(), e.variants.begin(), e.variants.end());
  std::string text = row(head) + rule(head.size());
  for (const FigureInfo& figure : e.figures) {
    std::vector<std::string> cells = {figure.label};
    for (const std::string& variant : e.variants) {
      cells.push_back(spread_text(spread_of(result.outcomes, variant, figure.name)));
    }
    text += row(cells);
  }
  return text;
}

std::string runs_table(const Reproduction& result) {
  const Experiment& e = *result.experiment;
  std::vector<std::string> head = {"variant", "seed", "settings"};
  for (const FigureInfo& figure : e.figures) head.push_back(figure.label);
  std::string text = row(head) + rule(head.size());
  for (const Outcome& each : result.outcomes) {
    std::vector<std::string> cells = {
        each.other_order ? each.variant + ", other order of sums" : each.variant,
        std::to_string(each.seed), each.run.empty() ? "" : concat("`", each.run, "`")};
    for (const FigureInfo& figure : e.figures) {
      const auto found = each.figures.find(figure.name);
      cells.push_back(found == each.figures.end() ? "" : number(found->second));
    }
    text += row(cells);
  }
  return text;
}

std::string how_it_was_run(const Reproduction& result, const ReproduceOptions& options,
                           const Provenance& from) {
  const Experiment& e = *result.experiment;
  std::string text = concat("    ", from.command, "\n\n", from.date, ", ", from.machine, ", hadal ",
                            from.version, ".");
  if (!e.training) return text + " No training.\n";
  const int64_t tokens = options.effort.tokens > 0 ? options.effort.tokens : e.default_tokens;
  const std::string length =
      options.effort.quick ? "A few steps" : human_count(static_cast<double>(tokens)) + " tokens";
  return text + concat(" ", length, " a run. `OUT/runs/SETTINGS/run.toml` is the whole ",
                       "configuration of one, for\n`hadal train`. Runs are the same bits on any ",
                       "number of threads.\n");
}

Json figures_json(const Outcome& outcome) {
  Json figures = Json::object();
  for (const auto& [name, value] : outcome.figures) figures[name] = value;
  return figures;
}

Json spread_json(const Spread& s) {
  Json json = Json::object();
  json["mean"] = s.mean;
  json["lowest"] = s.low;
  json["highest"] = s.high;
  return json;
}

}  // namespace

std::string this_machine() {
  return concat(available_cores(), " cores, ", cpu::simd_target_name());
}

std::string page_text(const Reproduction& result, const ReproduceOptions& options,
                      const Provenance& from) {
  const Experiment& e = *result.experiment;
  std::string text =
      concat("# ", e.name, "\n\nWritten by `hadal reproduce ", e.name,
             "`; every number comes from a run.\n\n", e.claim, "\n\n**Published:** ", e.reported,
             ".\n\n**Here:** ", verdict_text(overall(result.comparisons)), ".\n\n");
  if (options.effort.quick) text += "A smoke test: these figures mean nothing.\n\n";
  text += claims_table(result);
  text +=
      "\nA gap is the mean over the seeds, with the lowest and highest. A gap that is not\n"
      "above the larger of the two floors is not distinguishable: floor of seeds is the largest "
      "difference\n"
      "between two seeds of one variant, floor of the order of sums that between two runs of one\n"
      "seed whose gradients were summed over other micro-batches.\n\n";
  text += concat("**Limits.** ", e.limits, ".\n\n## Figures\n\n", figures_table(result),
                 "\n**Varied.** ", e.varied, ".\n\n");
  for (const auto& [file, svg] : pictures_of(result))
    text += concat("![", file, "](", file, ")\n\n");
  text +=
      "## How it was run\n\n" + how_it_was_run(result, options, from) + "\n" + runs_table(result);
  return text;
}

Json page_json(const Reproduction& result) {
  Json json = Json::object();
  json["experiment"] = result.experiment->name;
  json["claim"] = result.experiment->claim;
  json["reported"] = result.experiment->reported;
  Json::Array runs, claims;
  for (const Outcome& each : result.outcomes) {
    Json& run = runs.emplace_back(Json::object());
    run["seed"] = each.seed;
    run["setting"] = each.variant;
    run["other_order"] = each.other_order;
    run["run"] = each.run;
    run["figures"] = figures_json(each);
  }
  double first_floor = 0;
  for (size_t i = 0; i < result.comparisons.size(); ++i) {
    const Claim& claim = result.experiment->claims[i];
    const ComparedVariants& c = result.comparisons[i];
    Json& entry = claims.emplace_back(Json::object());
    entry["claim"] = claim.text;
    entry["reported"] = claim.reported;
    entry["figure"] = claim.figure;
    entry["setting"] = claim.variant;
    entry["baseline"] = claim.baseline;
    entry["value"] = spread_json(c.variant);
    entry["baseline_value"] = spread_json(c.baseline);
    entry["gap"] = c.gap;
    entry["noise_floor"] = c.floor();
    entry["verdict"] = verdict_text(c.verdict);
    if (i == 0) first_floor = c.floor();
  }
  json["runs"] = std::move(runs);
  json["claims"] = std::move(claims);
  json["noise_floor"] = first_floor;
  json["verdict"] = verdict_text(overall(result.comparisons));
  return json;
}

Json reproduce(Context& ctx, const Experiment& experiment, const ReproduceOptions& options,
               const Provenance& from) {
  Reproduction result{&experiment, run_experiment(ctx, experiment, options), {}};
  for (const Claim& claim : experiment.claims) {
    result.comparisons.push_back(compare_outcomes(claim, result.outcomes));
  }
  for (const auto& [file, svg] : pictures_of(result)) {
    write_file_atomically(options.out + "/" + file, svg);
  }
  const Json json = page_json(result);
  write_file_atomically(options.out + "/" + experiment.name + ".json", json.dump(2) + "\n");
  write_file_atomically(options.out + "/" + experiment.name + ".md",
                        page_text(result, options, from));
  return json;
}

}  // namespace hadal
