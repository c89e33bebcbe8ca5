// model/memory_needs.h: what a model takes in memory, in each form that its weights and its latent cache
// may have. Weights are multiplied where the mapped files lie, so their bytes are those of the files.
#pragma once

#include <string>
#include <vector>

#include "hadal/model/config.h"
#include "hadal/tensor/weight_view.h"

namespace hadal {

struct MemoryNeeds {
  struct Weights {
    WeightForm form;  // as `hadal convert --dtype` writes it
    int64_t bytes;
  };
  std::vector<Weights> weights;  // BF16, FP8, 8 and 4 bits, the largest first
  // Of one token in all layers, MTP modules not counted. In BF16: the latent and the rotated key. In FP8:
  // the latent in one byte a value and an F32 scale for each 128, the rotated key in BF16.
  int64_t cache_bytes_bf16 = 0, cache_bytes_fp8 = 0;
};
MemoryNeeds memory_needs(const ModelConfig& config);

// Bytes that this process may still take: what the system calls available, or less where a control group
// allows less. 0: unknown.
int64_t available_memory();

// What to say before `weight_bytes` of stored weights are read: empty if they fit into `available`
// beside the cache of a few thousand tokens. Names the forms that would fit.
std::string memory_warning(const ModelConfig& config, int64_t weight_bytes, int64_t available);

// Weights that the process holds itself and not in mapped files: nothing gives their pages back, so where
// they do not fit the system ends the process.
enum class HeldBecause {
  kWidened,    // to F32
  kUnaligned,  // they begin where their elements may not
  kRandom,     // there is no file
};
int64_t f32_bytes(const ModelConfig& config);  // of all weights, MTP modules too
// Unavailable, naming `place`, if `bytes` of them do not fit into `available` (0: unknown). Says what would.
void require_memory(const ModelConfig& config, const std::string& place, int64_t bytes,
                    HeldBecause because, int64_t available);

}  // namespace hadal
