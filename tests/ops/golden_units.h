// tests/ops/golden_units.h: values of single ops, computed in float64: tests/golden/units (rope,
// router, FP8) and tests/golden/ops (norm, SwiGLU, losses, attention, AdamW, with gradients).
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/io/safetensors.h"

namespace hadal::test {

class GoldenUnits {
 public:
  explicit GoldenUnits(const std::string& stem = HADAL_GOLDEN_DIR "/units/unit")
      : settings_(parse_json_file(stem + ".json")),
        file_(SafetensorsFile::open(stem + ".safetensors")) {}
  const Json& settings() const { return settings_; }
  Tensor tensor(const std::string& name) const {
    const TensorInfo* info = file_.find(name);
    if (!info) throw FormatError(file_.path() + ": no tensor " + name);
    return file_.tensor(*info);
  }
  template <class T>
  std::vector<T> values(const std::string& name) const {
    const Tensor found = tensor(name);
    const std::span<const T> flat = found.flat<T>();
    return {flat.begin(), flat.end()};
  }
  const SafetensorsFile& file() const { return file_; }
  std::vector<float> f32(const std::string& name) const { return values<float>(name); }
  std::vector<double> f64(const std::string& name) const { return values<double>(name); }

 private:
  Json settings_;
  SafetensorsFile file_;
};

}  // namespace hadal::test
