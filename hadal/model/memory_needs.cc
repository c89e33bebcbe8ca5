#include "hadal/model/memory_needs.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>

#include "hadal/core/checked_math.h"
#include "hadal/core/error.h"
#include "hadal/core/number_text.h"
#include "hadal/model/stored_weight.h"

namespace hadal {
namespace {

constexpr std::array kForms = {WeightForm::kBF16, WeightForm::kFp8, WeightForm::kQ8,
                               WeightForm::kQ4};
// What is kept beside the weights when somebody asks whether they fit.
constexpr int64_t kUsualContext = 4096;
constexpr int64_t kWorkingBytes = int64_t{200} << 20;

int64_t bytes_of(const std::vector<NamedParam>& params, WeightForm form) {
  int64_t bytes = 0;
  for (const NamedParam& param : params) {
    for (const TensorInfo& info : declare(param.name, param.shape, form_for(param, form))) {
      bytes += stored_bytes(info);
    }
  }
  return bytes;
}

// A number in a file of /sys, such as a control group's limit; "max" and a missing file are none.
int64_t number_in(const char* path) {
  std::ifstream in(path);
  int64_t value = 0;
  return in >> value ? value : std::numeric_limits<int64_t>::max();
}

int64_t system_available() {
  std::ifstream in("/proc/meminfo");
  std::string key, unit;
  int64_t kilobytes = 0;
  while (in >> key >> kilobytes) {
    if (key == "MemAvailable:") return kilobytes * 1024;
    std::getline(in, unit);
  }
  return 0;
}

std::string size_text(int64_t bytes) { return human_bytes(static_cast<double>(bytes)); }

}  // namespace

MemoryNeeds memory_needs(const ModelConfig& config) {
  Arena arena;
  DeepseekV3 shapes = make_model(config, arena);
  const std::vector<NamedParam> params = named_params(shapes);
  MemoryNeeds needs;
  for (const WeightForm form : kForms) needs.weights.push_back({form, bytes_of(params, form)});
  const int64_t latent = config.kv_lora_rank, rope = config.qk_rope_head_dim;
  needs.cache_bytes_bf16 = config.n_layers * 2 * (latent + rope);
  needs.cache_bytes_fp8 = config.n_layers * (latent + 4 * ceil_div(latent, kFp8Tile) + 2 * rope);
  return needs;
}

int64_t available_memory() {
  const int64_t group_limit = number_in("/sys/fs/cgroup/memory.max");
  const int64_t available = system_available();
  if (group_limit == std::numeric_limits<int64_t>::max()) return available;
  const int64_t used = number_in("/sys/fs/cgroup/memory.current");
  return std::min(available, std::max<int64_t>(0, group_limit - std::min(used, group_limit)));
}

std::string memory_warning(const ModelConfig& config, int64_t weight_bytes, int64_t available) {
  const MemoryNeeds needs = memory_needs(config);
  const int64_t beside = kUsualContext * needs.cache_bytes_bf16 + kWorkingBytes;
  if (available == 0 || weight_bytes + beside <= available) return "";
  std::string fitting;
  for (const auto& [form, bytes] : needs.weights) {
    if (bytes + beside > available || bytes >= weight_bytes) continue;
    fitting += concat(fitting.empty() ? "" : ", ", form_name(form), " ", size_text(bytes));
  }
  return concat(
      "the weights do not fit into memory and are read from the disk again and again (found ",
      size_text(available), " available, expected ", size_text(weight_bytes), " and ",
      size_text(beside), " beside them); ",
      fitting.empty() ? "no form of this model fits here"
                      : concat("would fit, by hadal convert: ", fitting));
}

}  // namespace hadal
