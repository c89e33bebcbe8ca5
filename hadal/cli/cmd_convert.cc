// cli/cmd_convert.cc: `hadal convert`
#include <algorithm>

#include "hadal/cli/commands.h"
#include "hadal/core/clock.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/number_text.h"
#include "hadal/model/convert.h"
#include "hadal/model/hf_storage.h"

namespace hadal::cli {
namespace {

struct ConvertArguments {
  std::string source, target, dtype;
  std::vector<std::string> mix;
  bool force = false;
  int64_t max_shard_mb = 5000;
};

void bind(Flags& flags, ConvertArguments& o) {
  flags.example("hadal convert DeepSeek-V3 DeepSeek-V3-bf16 --dtype bf16",
                "FP8 blocks become BF16, as other tools expect them");
  flags.example("hadal convert my-model my-model-q8 --dtype q8", "half the size of BF16");
  flags.example("hadal convert my-model my-model-q4 --dtype q4",
                "routed experts in 4 bits, what every token reads in 8");
  flags.example("hadal convert my-model my-model-q4 --dtype q4 --mix all=q4",
                "every projection in 4 bits");
  flags.positional("SRC", o.source, "folder of a Hugging Face checkpoint");
  flags.positional("DST", o.target, "folder to write");
  flags.choice("dtype", o.dtype, {"f32", "bf16", "fp8", "q8", "q4"},
               "precision of the projections; norms, tables and routers stay BF16 in fp8, q8, q4; "
               "q4 keeps attention, dense and shared in q8");
  flags.option(
      "mix", o.mix,
      "another precision for one class of weights: attention, dense, experts, shared, head, "
      "embedding or eh_proj, or for all projections (the first four): all=q4; repeatable");
  flags.flag("force", o.force, "replace the checkpoint in an existing DST");
  flags.option("max-shard-mb", o.max_shard_mb, "largest weight file, in MB");
}

StoredForms parse_forms(const ConvertArguments& o) {
  const auto projections = form_from_key(o.dtype).value_or(WeightForm::kF16);
  require(projections != WeightForm::kF16, {.field = "--dtype",
                                            .problem = "missing",
                                            .expected = "f32, bf16, fp8, q8 or q4",
                                            .advice = "say which precision to write"});
  StoredForms forms = usual_forms(projections);
  for (const std::string& one : o.mix) {
    const size_t at = std::min(one.find('='), one.size());
    const bool all = one.substr(0, at) == "all";
    const auto weight_class = class_from_name(one.substr(0, at)).value_or(WeightClass::kOther);
    // F16 is read and not written: it stands for none here.
    const auto form =
        form_from_key(one.substr(std::min(at + 1, one.size()))).value_or(WeightForm::kF16);
    require((all || weight_class != WeightClass::kOther) && form != WeightForm::kF16,
            {.field = "--mix",
             .problem = "not a class and its precision",
             .found = one,
             .expected = "attention, dense, experts, shared, head, embedding, eh_proj or all, =, "
                         "and one of f32, bf16, fp8, q8, q4"});
    if (!all) {
      forms.mixed[weight_class] = form;
      continue;
    }
    forms.projections = form;
    for (const auto each : {WeightClass::kAttention, WeightClass::kDense, WeightClass::kExperts,
                            WeightClass::kShared}) {
      forms.mixed.erase(each);
    }
  }
  return forms;
}

std::string dtype_text(const StoredForms& forms) {
  std::string text(form_key(forms.projections));
  for (const auto& [weight_class, form] : forms.mixed) {
    text += concat(", ", class_name(weight_class), " ", form_key(form));
  }
  return text;
}

int run(const ConvertArguments& o, const CommonOptions& common, Output& out) {
  const StoredForms forms = parse_forms(o);
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
      {.forms = forms, .overwrite = o.force, .max_shard_bytes = o.max_shard_mb * 1'000'000});
  const double seconds = monotonic_seconds() - start;
  Json document;
  document["source"] = o.source;
  document["target"] = o.target;
  document["dtype"] = o.dtype;
  document["mix"] = Json::array();
  for (const auto& [weight_class, form] : forms.mixed) {
    document["mix"].push_back(concat(class_name(weight_class), "=", form_key(form)));
  }
  document["tensors"] = report.tensors;
  document["bytes_in"] = report.bytes_in;
  document["bytes_out"] = report.bytes_out;
  document["seconds"] = seconds;
  if (out.json()) {
    out.report(document);
  } else {
    out.text(concat(o.target, ": ", report.tensors, " weights, ",
                    human_bytes(static_cast<double>(report.bytes_in)), " became ",
                    human_bytes(static_cast<double>(report.bytes_out)), " (", dtype_text(forms),
                    ") in ", human_seconds(seconds), "\n"));
  }
  return 0;
}

}  // namespace

Command make_convert_command() {
  return define_command<ConvertArguments>("convert", "rewrite a checkpoint in another precision",
                                          bind, run);
}

}  // namespace hadal::cli
