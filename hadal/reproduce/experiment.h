// reproduce/experiment.h: a published claim about training as a value: what is compared, which runs that
// takes, which figures are read from them and what they are expected to say.
//
// An experiment compares variants, with several seeds each. Most train one model a variant; some need one
// run for all of them (its gradients), some none (a rule of arithmetic).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "hadal/draw/heat_map.h"
#include "hadal/tensor/context.h"
#include "hadal/train/config.h"

namespace hadal {

// How much is to be spent, and on which text.
struct Effort {
  int64_t tokens = 0;  // of each run
  bool quick = false;  // does everything work? Seconds, and figures that mean nothing
  std::vector<std::string> text;
  std::string cache_dir;  // of prepared text; empty: the usual one
};

// One variant with one seed. `run`: the finished training run it belongs to, null without one.
struct Trial {
  std::string variant;
  int64_t seed = 0;
  const TrainConfig* run = nullptr;
  bool quick = false;
};

struct Curve {
  std::vector<double> x, y;
};

// What a trial gave.
struct Outcome {
  std::string variant;
  int64_t seed = 0;
  // The noise of rounding: the same seed again, the gradient summed over other micro-batches.
  bool other_order = false;
  std::string run = {};  // hash of its settings, the name of its folder; "" without a run
  std::map<std::string, double> figures = {};
  std::map<std::string, Curve> curves = {};
  std::vector<HeatMap> maps = {};
};

// That a figure of one variant is lower (higher) than that of the baseline, or as good as the same.
struct Claim {
  std::string text;      // in words
  std::string reported;  // the publication's own figure
  std::string figure, variant, baseline;
  bool higher = false;
  double factor = 1.0;  // at least so many times
  double within =
      0.0;  // above 0: neither, but the same within this share of the baseline, on every seed
};

struct FigureInfo {
  std::string name, label;  // label with its unit
};

struct Panel {
  std::string curve, label;  // label with its unit
  bool logarithmic = false;
};

struct Experiment {
  std::string name, claim, reported, varied;
  std::string limits;  // what this size cannot say
  std::vector<std::string> variants;
  std::vector<FigureInfo> figures;
  std::vector<Claim> claims;
  std::vector<Panel> panels;
  std::string x_label = "tokens";
  bool x_logarithmic = false;
  int64_t default_tokens = 0;  // of each run; 0 without runs
  // Settings of the run of a variant, all but its seed and folder; empty without runs. The same for
  // all variants: they share it.
  std::function<TrainConfig(const Effort&, const std::string& variant)> training = nullptr;
  // Figures, curves and maps.
  std::function<void(Context&, const Trial&, Outcome&)> measure;
  // What takes more than one run to tell, added to the outcomes at the end; empty: nothing.
  std::function<void(std::vector<Outcome>&)> compare_runs = nullptr;

  // Whether what differs between the variants is how they were trained; then the order of summation is
  // part of the noise.
  bool trains_variants = false;
};

const std::vector<Experiment>& experiments();                // the explicit list
const Experiment& find_experiment(const std::string& name);  // ConfigError with the nearest name

}  // namespace hadal
