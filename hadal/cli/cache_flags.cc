#include "hadal/cli/cache_flags.h"

#include "hadal/core/error.h"
#include "hadal/io/model_files.h"

namespace hadal::cli {

void CacheFlags::bind_dtype(Flags& flags) {
  flags.option("cache-dtype", dtype,
               "how past tokens are stored: f32, bf16 or fp8 (1, 1/2, 2/7 of the memory)");
}

void CacheFlags::bind(Flags& flags) {
  bind_dtype(flags);
  flags.option("cache-folder", folder,
               "keep what was read of prompts in this folder, for later runs too");
  flags.option("cache-folder-gb", folder_gb, "size of that folder at most");
}

LatentForm CacheFlags::form() const {
  const std::optional<LatentForm> form = latent_form_from_name(dtype);
  require(form.has_value(), {.field = "--cache-dtype",
                             .problem = "unknown form",
                             .found = dtype,
                             .expected = "f32, bf16 or fp8"});
  return *form;
}

CacheOptions CacheFlags::options(const std::string& model,
                                 const ActivationsFlag& activations) const {
  require(folder_gb > 0 && folder_gb < 1e6, {.field = "--cache-folder-gb",
                                             .problem = "out of range",
                                             .found = folder_gb,
                                             .expected = "more than 0"});
  CacheOptions options{.form = form()};
  if (!folder.empty()) {
    options.folder = {folder, static_cast<int64_t>(folder_gb * 1e9),
                      concat(model_identity(model), " ", activations.choice)};
  }
  return options;
}

}  // namespace hadal::cli
