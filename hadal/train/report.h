// train/report.h: report.html, the run on one self-contained page: no network, no other file.
#pragma once

#include <string>
#include <string_view>

#include "hadal/train/config.h"

namespace hadal {

// Reads metrics.jsonl up to `last_step` and writes RUN/report.html.
void write_report(const std::string& run_folder, const TrainConfig& config,
                  const ModelConfig& shape, int64_t last_step);

// The page with `data` in the place that its script reads. report_page.html has the layout.
std::string render_report(const Json& data);

std::string_view report_page();  // report_page.html, embedded by the build

}  // namespace hadal
