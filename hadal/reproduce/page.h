// reproduce/page.h: the page of an experiment: what was run, what came out, what it says.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hadal/reproduce/runner.h"
#include "hadal/reproduce/verdict.h"

namespace hadal {

std::string this_machine();  // "2 cores, AVX3"

// What a page says about where its numbers come from.
struct Provenance {
  std::string date, machine, version;
  std::string command;  // that repeats it
};

struct Reproduction {
  const Experiment* experiment = nullptr;
  std::vector<Outcome> outcomes;
  std::vector<ComparedVariants> comparisons;  // of experiment->claims
};

// Pictures by file name: NAME.svg, NAME-1.svg, ... of the maps of each variant's first seed.
std::vector<std::pair<std::string, std::string>> pictures_of(const Reproduction& result);
// The page in Markdown, which shows these pictures.
std::string page_text(const Reproduction& result, const ReproduceOptions& options,
                      const Provenance& from);
// claim, runs (variant, seed, run, figures), claims with their verdicts, verdict, noise_floor.
Json page_json(const Reproduction& result);

// Runs the experiment and writes its page, pictures and page_json into OUT, under its name. Returns the
// last.
Json reproduce(Context& ctx, const Experiment& experiment, const ReproduceOptions& options,
               const Provenance& from);

}  // namespace hadal
