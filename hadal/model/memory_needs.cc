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
  const StoredForms forms = usual_forms(form);
  int64_t bytes = 0;
  for (const NamedParam& param : params) {
    for (const TensorInfo& info : declare(param.name, param.shape, forms.of(param))) {
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

int64_t bytes_beside(const MemoryNeeds& needs) {
  return kUsualContext * needs.cache_bytes_bf16 + kWorkingBytes;
}

// "Q8 16.6 GB, Q4 9.4 GB": what fits of the forms that take less than `bytes`.
std::string fitting_forms(const MemoryNeeds& needs, int64_t bytes, int64_t available) {
  std::string fitting;
  for (const auto& [form, form_bytes] : needs.weights) {
    if (form_bytes + bytes_beside(needs) > available || form_bytes >= bytes) continue;
    fitting += concat(fitting.empty() ? "" : ", ", form_name(form), " ", size_text(form_bytes));
  }
  return fitting;
}

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
  const int64_t beside = bytes_beside(needs);
  if (available == 0 || weight_bytes + beside <= available) return "";
  const std::string fitting = fitting_forms(needs, weight_bytes, available);
  return concat(
      "the weights do not fit into memory and are read from the disk again and again (found ",
      size_text(available), " available, expected ", size_text(weight_bytes), " and ",
      size_text(beside), " beside them); ",
      fitting.empty() ? "no form of this model fits here"
                      : concat("would fit, by hadal convert: ", fitting));
}

int64_t f32_bytes(const ModelConfig& config) {
  const ParameterCount count = count_parameters(config);
  return (count.total + count.mtp) * int64_t{sizeof(float)};
}

void require_memory(const ModelConfig& config, const std::string& place, int64_t bytes,
                    HeldBecause because, int64_t available) {
  if (available == 0 || bytes <= available / 2) return;  // spares counting the forms
  const MemoryNeeds needs = memory_needs(config);
  if (bytes + bytes_beside(needs) <= available) return;
  std::string problem, advice;
  switch (because) {
    case HeldBecause::kWidened: {
      const std::string fitting = fitting_forms(needs, bytes, available);
      problem = "weights widened to F32 do not fit into memory";
      advice = concat(
          "as they are stored they are not copied (bench and dump: {dtype} native); ",
          fitting.empty() ? "no form of this model fits here" : concat("would fit: ", fitting));
      break;
    }
    case HeldBecause::kUnaligned:
      problem = "weights at odd bytes of their files have to be copied and do not fit into memory";
      advice = "write the files again with a program that aligns tensors";
      break;
    case HeldBecause::kRandom:
      problem = "random F32 weights do not fit into memory";
      advice = "choose a smaller preset";
      break;
  }
  throw Unavailable(
      {.place = place,
       .problem = problem,
       .found = {size_text(available), " available"},
       .expected = {size_text(bytes), " and ", size_text(bytes_beside(needs)), " beside them"},
       .advice = advice});
}

}  // namespace hadal
