// cli/cache_flags.h: how the latent cache is kept, for every command that has one.
#pragma once

#include <string>

#include "hadal/cli/activations_flag.h"
#include "hadal/command/command.h"
#include "hadal/infer/prefix_cache.h"

namespace hadal::cli {

struct CacheFlags {
  std::string dtype = "bf16", folder;
  double folder_gb = 8;

  void bind_dtype(Flags& flags);
  void bind(Flags& flags);  // and the folder
  LatentForm form() const;  // ConfigError naming the option
  // `model`: the model's folder; rows on disk belong to it and to what its linears read.
  CacheOptions options(const std::string& model, const ActivationsFlag& activations) const;
};

}  // namespace hadal::cli
