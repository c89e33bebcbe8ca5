// What the published step of DeepSeek-V3 says about every plan. arXiv:2505.09343: warm-up forward
// 1.13 s, bubble 2.06, extra backward 1.99, extra weight 0.48, overlapped pairs 13.95, optimizer
// 0.29, step 19.926 (2048 H800, PP 16, 120 micro-batches).
//
// Rank 0's DualPipe list says how many of each these seconds hold, so the times of F, B_in, W and
// F&B follow. A lone F or B_in waits for its all-to-all, whose time traffic and bandwidth give;
// what remains is computation, and compared with the peak that is the kernels' efficiency.
#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

constexpr int32_t kStages = 16, kMicroBatches = 120;

int64_t count(ActionKind kind) {
  int64_t n = 0;
  for (const Action& action : schedule_dualpipe(kStages, kMicroBatches, 0)) {
    n += action.kind == kind ? 1 : 0;
  }
  return n;
}

}  // namespace

void add_published_step(Worksheet& sheet) {
  sheet.section("published_step", "Calibration: DeepSeek-V3's published step");
  const std::string source = "hardware paper, arXiv:2505.09343";
  const auto measured = [&](const char* name, double seconds, const char* what) {
    sheet.input(name, seconds, "s", Origin::kMeasured, concat(what, "; ", source));
  };
  measured("v3_step_seconds", 19.926, "one step");
  measured("v3_lone_forward_seconds", 1.13, "1F");
  measured("v3_lone_backward_seconds", 1.99, "1B");
  measured("v3_lone_weight_seconds", 0.48, "1W");
  measured("v3_pairs_seconds", 13.95, "1F1B");
  measured("v3_optimizer_seconds", 0.29, "optimizer");
  const auto counted = [&](const char* name, ActionKind kind, const char* what) {
    sheet.computed(
        name, {}, [kind](const Worksheet&) { return static_cast<double>(count(kind)); }, "",
        concat(what, " in rank 0's list of DualPipe with 16 stages and 120 micro-batches"));
  };
  counted("v3_lone_forwards", ActionKind::kForward, "F");
  counted("v3_lone_backwards", ActionKind::kBackward, "full B");
  counted("v3_lone_backward_inputs", ActionKind::kBackwardInput, "B_in");
  counted("v3_lone_weights", ActionKind::kWeight, "W");
  counted("v3_pairs", ActionKind::kForwardBackward, "F&B");
  sheet.formula("v3_forward", "v3_lone_forward_seconds / v3_lone_forwards", "s", "one F");
  sheet.formula("v3_weight", "v3_lone_weight_seconds / v3_lone_weights", "s", "one W");
  sheet.formula("v3_backward_input",
                "(v3_lone_backward_seconds - v3_lone_backwards * v3_weight)"
                " / (v3_lone_backwards + v3_lone_backward_inputs)",
                "s", "one B_in; a full B is B_in and W");
  sheet.formula("v3_pair", "v3_pairs_seconds / v3_pairs", "s", "one F&B");
}

void add_calibration(Worksheet& sheet, std::shared_ptr<Worksheet> reference) {
  sheet.section("calibration", "Calibration: what carries over to other plans");
  const auto of_reference = [&](const char* name, const char* cell, const char* what) {
    sheet.computed(
        name, {}, [reference, cell](const Worksheet&) { return reference->value(cell); }, "s",
        concat(what, ": ", cell, " of the same formulas for DeepSeek-V3 on h800-2048"));
  };
  of_reference("v3_chunk_peak_seconds", "chunk_peak_seconds", "work at peak speed");
  of_reference("v3_all_to_all", "chunk_all_to_all_forward", "dispatch and combine");
  of_reference("v3_data_parallel_seconds", "data_parallel_seconds", "gradients and weights");
  const std::vector<std::string> times = {"v3_forward", "v3_backward_input", "v3_weight",
                                          "v3_pair"};
  const auto simulated = [&](const char* name, const char* cell, const char* what) {
    sheet.computed(
        name, times,
        [reference, times, cell](const Worksheet& s) {
          for (const std::string& time : times) reference->set(time, s.value(time));
          return reference->value(cell);
        },
        "s", concat(what, " of DualPipe with these times, 61 layers on 16 stages, simulated"));
  };
  simulated("v3_makespan", "pipeline_makespan", "duration");
  simulated("v3_busy", "busy_seconds", "busy time");
  sheet.formula("v3_compute", "v3_forward + v3_backward_input + v3_weight - 2 * v3_all_to_all", "s",
                "computation of one F, B_in and W");
  sheet.formula("v3_kernel_efficiency", "v3_chunk_peak_seconds / v3_compute", "fraction",
                "of peak speed while kernels run");
  sheet.input("h100_dense_share", find_cluster("h100-8").gpu.dense_share, "fraction",
              Origin::kMeasured, "gpu_dense_share of the H100, whose chip the H800 has");
  sheet.formula("gpu_factor", "gpu_dense_share > 0 ? gpu_dense_share / h100_dense_share : 1", "",
                "how much more of its peak this GPU gives to one and the same dense model;"
                " 1 where nothing is published");
  sheet.formula("kernel_efficiency", "v3_kernel_efficiency * gpu_factor", "fraction",
                "of peak speed while kernels run; assumed for every plan on this GPU");
  sheet.formula("forward_share", "(v3_forward - v3_all_to_all) / v3_compute", "fraction",
                "of a chunk's computation");
  sheet.formula("weight_share", "v3_weight / v3_compute", "fraction", "of a chunk's computation");
  sheet.input("communication_sm_share", 20.0 / 132, "fraction", Origin::kPublished,
              "20 of 132 SMs move data while pairs overlap, report section 3.2.2");
  sheet.formula("v3_pair_compute", "v3_compute / (1 - communication_sm_share)", "s",
                "on the other SMs");
  sheet.formula("overlap_efficiency",
                "min(1, max(0, 1 - (v3_pair - max(v3_pair_compute, 2 * v3_all_to_all))"
                " / min(v3_pair_compute, 2 * v3_all_to_all)))",
                "fraction", "of the shorter of computation and all-to-all that a pair hides");
  sheet.formula("stall_share", "(v3_step_seconds - v3_optimizer_seconds - v3_makespan) / v3_busy",
                "fraction",
                "the published step beyond optimizer and simulated pipeline, of the busy time;"
                " assumed for every plan");
}

}  // namespace hadal
