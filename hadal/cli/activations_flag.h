// cli/activations_flag.h: --activations, of every command that runs a model folder.
#pragma once

#include <string>

#include "hadal/command/command.h"
#include "hadal/model/precision.h"

namespace hadal::cli {

// What linears read: F32, rounded to BF16 as programs that compute in BF16 do, or all as in FP8 training.
struct ActivationsFlag {
  std::string choice = "f32";

  void bind(Flags& flags) {
    flags.choice("activations", choice, {"f32", "bf16", "fp8"},
                 "bf16 rounds what linears read: reading prompts is faster where the processor "
                 "multiplies BF16; fp8 computes as FP8 training does (docs/precision.md)");
  }
  void apply(DeepseekV3& model) const {
    if (choice == "bf16") set_precision(model, Precision::kBf16Input);
    if (choice == "fp8") {
      set_precision(
          model, model.config.fp8_power_of_two_scales ? Precision::kFp8 : Precision::kFp8F32Scales);
    }
  }
};

}  // namespace hadal::cli
