#include "hadal/pipeline/inputs.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"
#include "hadal/core/nearest.h"
#include "hadal/core/number_text.h"
#include "hadal/core/toml.h"
#include "hadal/pipeline/chunk_times.h"

namespace hadal {
namespace {

bool is_time(double value) { return std::isfinite(value) && value >= 0; }

double one_time(const Json& value, const std::string& where) {
  if (!value.is_number() || !is_time(value.as_number())) {
    throw FormatError(concat(where, ": not a time (found ", in_quotes(value.dump()),
                             ", expected a number, 0 or more)"));
  }
  return value.as_number();
}

std::vector<double> times(const Json& value, const std::string& where) {
  if (!value.is_array()) return {one_time(value, where)};
  std::vector<double> result;
  for (const Json& item : value.as_array()) {
    result.push_back(one_time(item, concat(where, "[", result.size(), "]")));
  }
  if (result.empty()) {
    throw FormatError(concat(where, ": empty (expected a number, or one per stage)"));
  }
  return result;
}

void check_length(const std::vector<double>& values, const char* field, int32_t expected,
                  const char* what) {
  require(values.size() == 1 || std::cmp_equal(values.size(), expected),
          {.field = field,
           .problem = "wrong number of values",
           .found = values.size(),
           .expected = {"1 or ", expected},
           .advice = {"give one for all or one per ", what}});
}

double at(const std::vector<double>& values, size_t i) {
  return values.size() == 1 ? values[0] : values[i];
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value / static_cast<double>(values.size());
  return values.size() == 1 ? values[0] : sum;
}

std::string range_text(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (*low == *high) return plain_number(*low);
  return plain_number(*low) + " to " + plain_number(*high);
}

}  // namespace

std::string PipelineInputs::pair_text() const {
  if (overlapped) return plain_number(*overlapped);
  const bool one_number = forward.size() + backward.size() + layers.size() == 3 && layers[0] == 1;
  return one_number ? plain_number(forward[0] + backward[0]) : "= F + B";
}

std::string PipelineInputs::summary() const {
  std::string text = "F " + range_text(forward) + ", B " + range_text(backward);
  if (backward.size() == 1 && weight.size() == 1) {
    text +=
        " (B_in " + plain_number(backward[0] - weight[0]) + " + W " + plain_number(weight[0]) + ")";
  } else {
    text += ", of it W " + range_text(weight);
  }
  const bool has_layers = layers != std::vector<double>{1};
  const bool has_all_to_all = all_to_all != std::vector<double>{0};
  if (has_all_to_all) text += ", all-to-all " + range_text(all_to_all) + " each way";
  if (has_layers) text += ", times " + range_text(layers) + " layers";
  if (has_all_to_all) {
    text += ", F&B hides " + plain_number(100 * overlap_efficiency) + " % of the shorter part";
  } else {
    text += ", F&B " + pair_text();
  }
  if (latency > 0) text += ", latency " + plain_number(latency);
  if (bytes > 0) {
    text += ", " + plain_number(bytes) + " bytes at " +
            (mean(bandwidth) > 0 ? range_text(bandwidth) : "unlimited") + " per unit";
  }
  if (blocking) text += ", blocking transfers";
  return text;
}

std::vector<double> parse_times(std::string_view text, const std::string& where) {
  std::vector<double> result;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view item = text.substr(begin, end - begin);
    double value = 0;
    const auto [rest, error] = std::from_chars(item.data(), item.data() + item.size(), value);
    require(error == std::errc() && rest == item.data() + item.size() && is_time(value),
            {.field = where,
             .problem = "not a time",
             .found = in_quotes(item),
             .expected = "a number, 0 or more; several are separated by commas"});
    result.push_back(value);
    begin = end + 1;
  }
  return result;
}

double parse_time(std::string_view text, const std::string& where) {
  const std::vector<double> values = parse_times(text, where);
  require(values.size() == 1,
          {.field = where, .problem = "one number, not a list", .found = in_quotes(text)});
  return values[0];
}

void read_pipeline_inputs(const std::string& path, PipelineInputs& inputs) {
  const Json root = path.ends_with(".toml") ? parse_toml_file(path).root : parse_json_file(path);
  if (!root.is_object()) {
    throw FormatError(concat(path, ": not a table of times (found ", root.type_name(), ")"));
  }
  static const std::vector<std::string> kKeys = {
      "forward",   "backward", "weight", "overlapped", "latency",           "bytes",
      "bandwidth", "blocking", "layers", "all_to_all", "overlap_efficiency"};
  for (const auto& [key, value] : root.as_object()) {
    const std::string where = path + ": " + one_line(key, 40);
    if (key == "forward") {
      inputs.forward = times(value, where);
    } else if (key == "backward") {
      inputs.backward = times(value, where);
    } else if (key == "weight") {
      inputs.weight = times(value, where);
    } else if (key == "layers") {
      inputs.layers = times(value, where);
    } else if (key == "all_to_all") {
      inputs.all_to_all = times(value, where);
    } else if (key == "overlap_efficiency") {
      inputs.overlap_efficiency = one_time(value, where);
    } else if (key == "overlapped") {
      inputs.overlapped = one_time(value, where);
    } else if (key == "latency") {
      inputs.latency = one_time(value, where);
    } else if (key == "bytes") {
      inputs.bytes = one_time(value, where);
    } else if (key == "bandwidth") {
      inputs.bandwidth = times(value, where);
    } else if (key == "blocking" && value.is_bool()) {
      inputs.blocking = value.as_bool();
    } else if (key == "blocking") {
      throw FormatError(concat(where, ": expected true or false, found ", value.type_name()));
    } else {
      throw FormatError(
          Complaint{.place = where, .problem = "unknown key", .advice = did_you_mean(key, kKeys)});
    }
  }
}

PipelineTimes pipeline_times(const PipelineInputs& inputs, int32_t n_stages, int32_t n_ranks,
                             double chunk) {
  check_length(inputs.forward, "forward", n_stages, "stage");
  check_length(inputs.backward, "backward", n_stages, "stage");
  check_length(inputs.weight, "weight", n_stages, "stage");
  check_length(inputs.bandwidth, "bandwidth", std::max(n_ranks - 1, 1),
               "pair of neighbouring ranks");
  check_length(inputs.layers, "layers", n_stages, "stage");
  check_length(inputs.all_to_all, "all_to_all", n_stages, "stage");
  require(!inputs.overlapped || inputs.all_to_all == std::vector<double>{0},
          {.field = "overlapped",
           .problem = "given beside {all_to_all}, which determines it",
           .found = "both",
           .expected = "one",
           .advice = "leave one out, or give {overlap_efficiency}"});
  require(inputs.overlap_efficiency <= 1, {.field = "overlap_efficiency",
                                           .problem = "out of range",
                                           .found = inputs.overlap_efficiency,
                                           .expected = "0 to 1"});
  const size_t n = std::max({inputs.forward.size(), inputs.backward.size(), inputs.weight.size(),
                             inputs.layers.size(), inputs.all_to_all.size()});
  std::vector<LayerTimes> work(n);
  for (size_t i = 0; i < n; ++i) {
    const double backward = at(inputs.backward, i), weight = at(inputs.weight, i);
    require(weight <= backward,
            {.field = "weight",
             .problem = "longer than the backward it is a part of",
             .found = {"W ", plain_number(weight), " of B ", plain_number(backward),
                       n > 1 ? concat(" in stage ", i) : ""},
             .expected = "W <= B",
             .advice = "{backward} is the whole backward of a chunk"});
    const double all_to_all = at(inputs.all_to_all, i);
    work[i] = chunk * at(inputs.layers, i) *
              LayerTimes{at(inputs.forward, i), backward - weight, weight, all_to_all, all_to_all};
  }
  PipelineTimes result = chunk_times(work, inputs.overlap_efficiency);
  if (inputs.overlapped && n == 1) {
    result.pair = chunk * *inputs.overlapped;
  } else if (inputs.overlapped) {
    double apart = 0;
    for (const StageTimes& stage : result.stages) {
      apart += (stage.forward + stage.backward()) / static_cast<double>(n);
    }
    require(
        apart > 0,
        {.field = "overlapped", .problem = "there is nothing to overlap", .found = "F and B of 0"});
    result.pair_share = chunk * *inputs.overlapped / apart;
  }
  result.latency = inputs.latency;
  result.bytes = inputs.bytes;
  result.bandwidth = inputs.bandwidth;
  result.blocking = inputs.blocking;
  return result;
}

}  // namespace hadal
