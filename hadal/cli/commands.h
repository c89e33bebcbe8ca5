// cli/commands.h: one maker per command; cli/commands.cc lists them in the order of --help.
#pragma once

#include "hadal/command/command.h"

namespace hadal::cli {

std::vector<Command> all_commands();  // the explicit list

Command make_doctor_command();
Command make_completion_command();
Command make_generate_command();
Command make_chat_command();
Command make_score_command();
Command make_compare_command();
Command make_presets_command();
Command make_pipeline_command();
Command make_bench_prefill_command();
Command make_bench_decode_command();
Command make_bench_mixed_command();
Command make_bench_experts_command();
Command make_bench_train_command();
Command make_bench_gemm_command();
Command make_bench_load_command();
Command make_bench_ranks_command();
Command make_bench_needle_command();
Command make_bench_completion_command();
Command make_bench_tokenizer_command();
Command make_convert_command();
Command make_dump_command();
Command make_inspect_command();
Command make_data_fetch_command();
Command make_data_stats_command();
Command make_data_dedup_command();
Command make_data_pack_command();
Command make_data_repository_command();
Command make_data_ngram_command();
Command make_plan_command();
Command make_plan_experts_command();
Command make_plan_machine_command();
Command make_plan_scaling_command();
Command make_plan_rows_command();
Command make_plan_sweep_command();
Command make_train_command();
Command make_reproduce_command();
Command make_package_command();
Command make_repeat_command();
Command make_replay_command();
Command make_config_show_command();
Command make_tokenizer_train_command();
Command make_tokenizer_encode_command();
Command make_tokenizer_decode_command();
Command make_tokenizer_info_command();

}  // namespace hadal::cli
