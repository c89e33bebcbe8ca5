// tests/ops/golden_units.h: tests/golden/units: rope, router and FP8 on their own, computed in
// float64.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/io/safetensors.h"

namespace hadal::test {

class GoldenUnits {
 public:
  GoldenUnits()
      : settings_(parse_json_file(HADAL_GOLDEN_DIR "/units/unit.json")),
        file_(SafetensorsFile::open(HADAL_GOLDEN_DIR "/units/unit.safetensors")) {}
  const Json& settings() const { return settings_; }
  Tensor tensor(const std::string& name) const {
    const TensorInfo* info = file_.find(name);
    if (!info) throw FormatError("unit.safetensors: no tensor " + name);
    return file_.tensor(*info);
  }
  template <class T>
  std::vector<T> values(const std::string& name) const {
    const Tensor found = tensor(name);
    const std::span<const T> flat = found.flat<T>();
    return {flat.begin(), flat.end()};
  }
  std::vector<float> f32(const std::string& name) const { return values<float>(name); }
  std::vector<double> f64(const std::string& name) const { return values<double>(name); }

 private:
  Json settings_;
  SafetensorsFile file_;
};

}  // namespace hadal::test
