// reproduce/package.h: a run in one folder, so that another machine can train it again and compare.
//
//   package.json        seed, end, what it was made by, files of the text, hashes of the checkpoint's files
//   run.toml            the run's settings, phases included
//   metrics.jsonl       its losses, step by step; report.html, the same as plots
//   tokenizer/          of the checkpoint
//   config.json         where model.config names one
//   data/0/ ... init/   the text and the model that it began with, if wanted
//
// docs/packages.md has the fields of package.json.
#pragma once

#include <string>

#include "hadal/core/json.h"

namespace hadal {

struct PackageOptions {
  bool with_data = false;  // texts, and the weights of model.init
};

// Packs the run's newest checkpoint into the new folder `out`, whole or not at all. Returns what
// `hadal package --json` prints. ConfigError if `run_folder` has no checkpoint or `out` is there already.
Json package_run(const std::string& run_folder, const std::string& out,
                 const PackageOptions& options);

// package.json. FormatError if `folder` is no package, or one of its files is not as it was packed.
Json read_package(const std::string& folder);

// Of state.json what a run that is done again has, too: all but the clock.
Json state_without_clock(const std::string& checkpoint);

}  // namespace hadal
