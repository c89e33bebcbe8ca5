#include "hadal/train/run_load.h"

#include <algorithm>
#include <limits>

#include "hadal/core/error.h"
#include "hadal/train/metrics.h"

namespace hadal {
namespace {

std::vector<std::vector<double>> rows_of(const Json& record) {
  std::vector<std::vector<double>> rows;
  for (const Json& layer : record.as_array()) {
    std::vector<double>& row = rows.emplace_back();
    for (const Json& load : layer.as_array()) row.push_back(load.as_number());
  }
  return rows;
}

bool same_shape(const std::vector<std::vector<double>>& a,
                const std::vector<std::vector<double>>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.size() == y.size(); });
}

}  // namespace

RunLoad read_run_load(const std::string& run_folder, int64_t n_records, int64_t n_skipped) {
  require(n_records >= 1, {.field = "n_records",
                           .problem = "out of range",
                           .found = n_records,
                           .expected = "1 or more"});
  require(n_skipped >= 0, {.field = "n_skipped",
                           .problem = "out of range",
                           .found = n_skipped,
                           .expected = "0 or more"});
  const std::string path = run_folder + "/metrics.jsonl";
  try {
    std::vector<Json> lines = read_metrics(run_folder, std::numeric_limits<int64_t>::max());
    RunLoad run;
    for (auto line = lines.rbegin(); line != lines.rend() && run.n_records < n_records; ++line) {
      const Json* record = line->find("moe/load");
      if (!record || n_skipped-- > 0) continue;
      const std::vector<std::vector<double>> rows = rows_of(*record);
      run.first_step = line->at("step").as_integer();
      if (run.n_records++ == 0) {
        run.rows = rows;
        run.last_step = run.first_step;
        continue;
      }
      if (!same_shape(rows, run.rows)) {
        throw FormatError(concat("moe/load of step ", run.first_step,
                                 " has another shape than that of step ", run.last_step));
      }
      for (size_t layer = 0; layer < rows.size(); ++layer) {
        for (size_t e = 0; e < rows[layer].size(); ++e) run.rows[layer][e] += rows[layer][e];
      }
    }
    if (run.n_records == 0) {
      throw FormatError(
          "no record of the experts' load (found no moe/load that is not left out, expected one at "
          "least)");
    }
    for (std::vector<double>& row : run.rows) {
      for (double& load : row) load /= static_cast<double>(run.n_records);
    }
    return run;
  } catch (const FormatError& e) {
    // read_metrics names the file where the text is not JSON, but not where a value is wrong.
    const std::string what = e.what();
    throw FormatError(what.starts_with(path) ? what : concat(path, ": ", what));
  }
}

}  // namespace hadal
