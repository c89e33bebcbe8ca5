// reproduce/makers.h: one maker per experiment, each in a file of its name; experiments.cc lists them.
#pragma once

#include "hadal/reproduce/experiment.h"

namespace hadal {

Experiment make_fp8_vs_bf16();
Experiment make_loss_free_balance();
Experiment make_expert_specialization();
Experiment make_mtp();
Experiment make_granularity();
Experiment make_accumulation();
Experiment make_blockwise_gradient();
Experiment make_e4m3_vs_e5m2();
Experiment make_scale_kind();
Experiment make_zero_and_tiny();
Experiment make_context_extension();

}  // namespace hadal
