// cli/cmd_dump.cc: `hadal dump`
#include <algorithm>
#include <cmath>

#include "hadal/cli/commands.h"
#include "hadal/core/nearest.h"
#include "hadal/io/safetensors.h"
#include "hadal/model/checkpoint.h"
#include "hadal/model/dump.h"
#include "hadal/model/precision.h"
#include "hadal/ops/compute_device.h"

namespace hadal::cli {
namespace {

struct DumpOptions {
  std::string model, tokens, what, out, dtype = "f32", mtp_hidden;
  double mtp_weight = 0.3, balance_weight = 1e-4;
  bool fp8_activations = false;
};

void bind(Flags& flags, DumpOptions& o) {
  flags.library_names({{"token_lists", "--tokens"}});
  flags.example(
      "hadal dump --model DIR --tokens ids.json --what logits,routing --out dump.safetensors",
      "logits and chosen experts of every list of ids.json, [[5, 17, 3], [8]]");
  flags.example(
      "hadal dump --model DIR --tokens ids.json --what loss,gradients --out g.safetensors",
      "the lists as one training batch; the last id of each is only a target");
  flags.required("model", o.model, "checkpoint folder");
  flags.required("tokens", o.tokens, "JSON file with a list of token-id lists");
  flags.required("what", o.what, "comma-separated: logits, hidden, routing, mtp, loss, gradients");
  flags.required("out", o.out, "safetensors file to write");
  flags.choice("dtype", o.dtype, {"f32", "native"},
               "weights in F32, or multiplied as stored (BF16, F16)");
  flags.choice("mtp-hidden", o.mtp_hidden, {"post-norm", "pre-norm"},
               "state that MTP receives (default: as the model says)");
  flags.option("mtp-weight", o.mtp_weight, "lambda of the MTP loss");
  flags.option("balance-weight", o.balance_weight, "alpha of the balance loss");
  flags.flag("fp8-activations", o.fp8_activations,
             "round the inputs of FP8 linears to 1x128 tiles");
}

struct What {
  DumpParts parts;
  bool inference = false, loss = false, gradients = false;
};

What parse_what(const std::string& list) {
  const std::vector<std::string> known = {"logits", "hidden", "routing",
                                          "mtp",    "loss",   "gradients"};
  What what;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string name = list.substr(begin, end - begin);
    require(std::find(known.begin(), known.end(), name) != known.end(),
            {.field = "--what",
             .problem = "unknown part",
             .found = {"'", name, "'"},
             .expected = "logits, hidden, routing, mtp, loss or gradients",
             .advice = did_you_mean(name, known)});
    what.parts.logits |= name == "logits";
    what.parts.hidden |= name == "hidden";
    what.parts.routing |= name == "routing";
    what.parts.mtp |= name == "mtp";
    what.loss |= name == "loss";
    what.gradients |= name == "gradients";
    begin = end + 1;
  }
  what.inference = what.parts.logits || what.parts.hidden || what.parts.routing || what.parts.mtp;
  return what;
}

void check(const DumpOptions& o, const What& what) {
  require(std::isfinite(o.mtp_weight) && o.mtp_weight >= 0.0, {.field = "--mtp-weight",
                                                               .problem = "not a weight",
                                                               .found = o.mtp_weight,
                                                               .expected = "0 or more"});
  require(std::isfinite(o.balance_weight) && o.balance_weight >= 0.0, {.field = "--balance-weight",
                                                                       .problem = "not a weight",
                                                                       .found = o.balance_weight,
                                                                       .expected = "0 or more"});
  require(o.dtype == "f32" || !what.gradients, {.field = "--dtype",
                                                .problem = "gradients need F32 weights",
                                                .found = "native",
                                                .expected = "f32"});
}

Precision precision_of(const DumpOptions& o, const ModelConfig& config) {
  if (!o.fp8_activations) return Precision::kF32;
  require(config.fp8, {.field = "--fp8-activations",
                       .problem = {o.model, " has no FP8 linears"},
                       .found = "no quantization_config",
                       .expected = "quant_method fp8",
                       .advice = "leave the option out"});
  return config.fp8_power_of_two_scales ? Precision::kFp8InputPowerOfTwo : Precision::kFp8Input;
}

void append(std::vector<NamedTensor>& all, std::vector<NamedTensor> more) {
  std::move(more.begin(), more.end(), std::back_inserter(all));
}

void report(const std::vector<NamedTensor>& tensors, Output& out) {
  Json list = Json::array();
  for (const NamedTensor& each : tensors) {
    Json entry;
    entry["name"] = each.name;
    entry["dtype"] = dtype_name(each.tensor.dtype());
    entry["shape"] = Json::array_of(each.tensor.shape());
    list.push_back(std::move(entry));
  }
  Json document;
  document["tensors"] = std::move(list);
  out.report(document);
}

int run(const DumpOptions& o, const CommonOptions& common, Output& out) {
  const What what = parse_what(o.what);
  check(o, what);
  ThreadPool pool(common.threads);
  const ComputeDevice device(common.chosen_device());
  Arena arena(device.memory());
  Context ctx = device.context(pool, arena);
  DeepseekV3 model =
      load_model(ctx, o.model, {.dtype = o.dtype == "native" ? LoadAs::kAsStored : LoadAs::kF32});
  if (!o.mtp_hidden.empty()) {
    model.config.mtp_hidden =
        o.mtp_hidden == "pre-norm" ? MtpHidden::kPreNorm : MtpHidden::kPostNorm;
  }
  const TokenLists lists = read_token_lists(o.tokens, model.config.vocab_size);
  size_t longest = 0;
  for (const auto& list : lists) longest = std::max(longest, list.size());
  model.ensure_rope(arena, static_cast<int64_t>(longest));

  set_precision(model, precision_of(o, model.config));
  std::vector<NamedTensor> tensors;
  if (what.inference) append(tensors, dump_inference(ctx, model, lists, what.parts));
  LossWeights weights;
  weights.mtp = static_cast<float>(o.mtp_weight);
  weights.balance = static_cast<float>(o.balance_weight);
  if (what.gradients) {
    allocate_gradients(model, arena);
    append(tensors, dump_gradients(ctx, model, lists, weights));
  } else if (what.loss) {
    append(tensors, dump_loss(ctx, model, lists, weights));
  }

  std::vector<std::pair<std::string, const Tensor*>> to_write;
  for (const NamedTensor& each : tensors) to_write.emplace_back(each.name, &each.tensor);
  write_safetensors(o.out, to_write);
  report(tensors, out);
  return 0;
}

}  // namespace

Command make_dump_command() {
  return define_command<DumpOptions>(
      "dump", "write intermediate tensors for comparison with another implementation", bind, run);
}

}  // namespace hadal::cli
