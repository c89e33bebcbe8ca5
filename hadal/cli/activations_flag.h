// cli/activations_flag.h: --activations, of every command that runs a model folder.
#pragma once

#include <string>

#include "hadal/command/command.h"
#include "hadal/model/deepseek_v3.h"

namespace hadal::cli {

// What linears read: F32, or rounded to BF16 as programs that compute in BF16 do.
struct ActivationsFlag {
  std::string choice = "f32";

  void bind(Flags& flags) {
    flags.choice("activations", choice, {"f32", "bf16"},
                 "bf16 rounds what linears read: reading prompts is faster where the processor "
                 "multiplies BF16 (docs/precision.md)");
  }
  void apply(DeepseekV3& model) const {
    if (choice == "bf16") set_precision(model, Precision::kBf16Input);
  }
};

}  // namespace hadal::cli
