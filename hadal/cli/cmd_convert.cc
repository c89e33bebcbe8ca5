// cli/cmd_convert.cc: `hadal convert`
#include "hadal/cli/commands.h"
#include "hadal/core/clock.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/number_text.h"
#include "hadal/model/convert.h"

namespace hadal::cli {
namespace {

struct ConvertArguments {
  std::string source, target, dtype;
  bool force = false;
  int64_t max_shard_mb = 5000;
};

void bind(Flags& flags, ConvertArguments& o) {
  flags.example("hadal convert DeepSeek-V3 DeepSeek-V3-bf16 --dtype bf16",
                "FP8 blocks become BF16, as other tools expect them");
  flags.example("hadal convert my-model my-model-q8 --dtype q8", "half the size of BF16");
  flags.positional("SRC", o.source, "folder of a Hugging Face checkpoint");
  flags.positional("DST", o.target, "folder to write");
  flags.choice("dtype", o.dtype, {"f32", "bf16", "fp8", "q8", "q4"},
               "precision of the projections; norms, tables and routers stay BF16 in fp8, q8, q4");
  flags.flag("force", o.force, "replace the checkpoint in an existing DST");
  flags.option("max-shard-mb", o.max_shard_mb, "largest weight file, in MB");
}

ConvertDType parse_dtype(const std::string& name) {
  if (name == "f32") return ConvertDType::kF32;
  if (name == "bf16") return ConvertDType::kBF16;
  if (name == "fp8") return ConvertDType::kFP8;
  if (name == "q8") return ConvertDType::kQ8;
  if (name == "q4") return ConvertDType::kQ4;
  throw ConfigError({.field = "--dtype",
                     .problem = "missing",
                     .expected = "f32, bf16, fp8, q8 or q4",
                     .advice = "say which precision to write"});
}

int run(const ConvertArguments& o, const CommonOptions& common, Output& out) {
  const ConvertDType dtype = parse_dtype(o.dtype);
  require(o.max_shard_mb >= 1 && o.max_shard_mb <= 1'000'000, {.field = "--max-shard-mb",
                                                               .problem = "out of range",
                                                               .found = o.max_shard_mb,
                                                               .expected = "1 to 1000000"});
  catch_interrupts();
  ThreadPool pool(common.threads);
  Arena arena;
  Context ctx{pool, arena};
  const double start = monotonic_seconds();
  const ConvertReport report = convert_checkpoint(
      ctx, o.source, o.target,
      {.dtype = dtype, .overwrite = o.force, .max_shard_bytes = o.max_shard_mb * 1'000'000});
  const double seconds = monotonic_seconds() - start;
  Json document;
  document["source"] = o.source;
  document["target"] = o.target;
  document["dtype"] = o.dtype;
  document["tensors"] = report.tensors;
  document["bytes_in"] = report.bytes_in;
  document["bytes_out"] = report.bytes_out;
  document["seconds"] = seconds;
  if (out.json()) {
    out.report(document);
  } else {
    out.text(concat(o.target, ": ", report.tensors, " weights, ",
                    human_bytes(static_cast<double>(report.bytes_in)), " became ",
                    human_bytes(static_cast<double>(report.bytes_out)), " of ", o.dtype, " in ",
                    human_seconds(seconds), "\n"));
  }
  return 0;
}

}  // namespace

Command make_convert_command() {
  return define_command<ConvertArguments>("convert", "rewrite a checkpoint in another precision",
                                          bind, run);
}

}  // namespace hadal::cli
