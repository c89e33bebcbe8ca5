#include "hadal/measure/doctor.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "hadal/comm/mpi_info.h"
#include "hadal/core/error.h"
#include "hadal/core/number_text.h"
#include "hadal/data/dataset.h"
#include "hadal/kernels/cpu/bf16/bf16_gemm.h"
#include "hadal/kernels/cpu/roof_probe.h"
#include "hadal/kernels/cuda_devices.h"
#include "hadal/measure/roofline.h"
#include "hadal/model/memory_needs.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

// Smaller than this and even the quickstart does not fit.
constexpr double kLeastMemory = 1.5e9, kLeastDisk = 2e9;

std::string with_unit(double value, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof(text), "%.1f %s", value, unit);
  return text;
}

Check disk(const std::string& name, const std::string& folder) {
  fs::path existing = fs::weakly_canonical(folder);
  while (!fs::exists(existing) && existing.has_relative_path()) existing = existing.parent_path();
  std::error_code error;
  const fs::space_info space = fs::space(existing, error);
  const bool writable = access(existing.c_str(), W_OK) == 0;
  const double free = error ? 0.0 : static_cast<double>(space.available);
  return {name, writable && free >= kLeastDisk,
          human_bytes(free) + " free" + (writable ? "" : ", not writable") + " in " +
              existing.string()};
}

Check gpu() {
  try {
    std::string found;
    for (const cuda::DeviceInfo& device : cuda::devices()) {
      found += (found.empty() ? "" : "; ") +
               concat(device.name, ", ", human_bytes(static_cast<double>(device.memory_bytes)),
                      ", compute ", device.major, ".", device.minor);
    }
    return {"gpu", true, found.empty() ? "none" : found};
  } catch (const Unavailable& error) {
    return {"gpu", true, error.what()};
  }
}

Check mpi() {
  const MpiInfo info = ask_mpi();
  if (!info.built_in) return {"mpi", true, info.library};
  return {"mpi", true, concat(info.library, ", rank ", info.rank, " of ", info.n_ranks)};
}

}  // namespace

double available_memory_bytes() { return static_cast<double>(available_memory()); }

std::vector<Check> examine_machine(ThreadPool& pool) {
  const double memory = available_memory_bytes();
  return {
      {"cores", true, concat(available_cores(), " for this process, ", pool.n_threads(), " used")},
      {"simd", true,
       concat(cpu::simd_target_name(), ", products of BF16 in ", cpu::bf16_products_name())},
      {"memory", memory >= kLeastMemory, human_bytes(memory) + " available"},
      {"arithmetic", true, with_unit(fma_gflop_per_s(pool, 0.2), "GFLOP/s in FP32")},
      {"bandwidth", true, with_unit(dram_read_gb_per_s(pool, 0.2), "GB/s read from memory")},
      disk("disk", "."),
      disk("cache", hadal_cache_folder()),
      mpi(),
      gpu(),
  };
}

}  // namespace hadal
