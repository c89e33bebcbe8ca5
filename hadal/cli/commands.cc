#include "hadal/cli/commands.h"

namespace hadal::cli {

std::vector<Command> all_commands() {
  return {
      make_train_command(),
      make_config_show_command(),
      make_data_fetch_command(),
      make_data_stats_command(),
      make_data_dedup_command(),
      make_data_pack_command(),
      make_data_repository_command(),
      make_data_ngram_command(),
      make_tokenizer_train_command(),
      make_tokenizer_encode_command(),
      make_tokenizer_decode_command(),
      make_tokenizer_info_command(),
      make_generate_command(),
      make_chat_command(),
      make_score_command(),
      make_compare_command(),
      make_dump_command(),
      make_inspect_command(),
      make_convert_command(),
      make_bench_prefill_command(),
      make_bench_decode_command(),
      make_bench_mixed_command(),
      make_bench_experts_command(),
      make_bench_train_command(),
      make_bench_gemm_command(),
      make_bench_load_command(),
      make_bench_ranks_command(),
      make_bench_needle_command(),
      make_bench_completion_command(),
      make_bench_tokenizer_command(),
      make_reproduce_command(),
      make_package_command(),
      make_repeat_command(),
      make_replay_command(),
      make_plan_command(),
      make_plan_experts_command(),
      make_plan_sweep_command(),
      make_plan_scaling_command(),
      make_plan_rows_command(),
      make_plan_machine_command(),
      make_pipeline_command(),
      make_presets_command(),
      make_doctor_command(),
      make_completion_command(),
  };
}

}  // namespace hadal::cli
