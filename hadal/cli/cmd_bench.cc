// cli/cmd_bench.cc: `hadal bench prefill|decode|mixed|train|gemm|load|tokenizer`
#include "hadal/cli/activations_flag.h"
#include "hadal/cli/cache_flags.h"
#include "hadal/cli/commands.h"
#include "hadal/cli/print_report.h"
#include "hadal/core/error.h"
#include "hadal/measure/measure_depth.h"
#include "hadal/measure/measure_engine.h"
#include "hadal/measure/measure_gemm.h"
#include "hadal/measure/measure_infer.h"
#include "hadal/measure/measure_load.h"
#include "hadal/measure/measure_tokenizer.h"
#include "hadal/measure/measure_train.h"
#include "hadal/model/memory_needs.h"
#include "hadal/ops/compute_device.h"

namespace hadal::cli {
namespace {

// What a bench runs on; results go out in the form that was asked for.
struct Bench {
  explicit Bench(const CommonOptions& common)
      : pool(common.threads),
        device(common.chosen_device()),
        arena(device.memory()),
        ctx(device.context(pool, arena)) {}
  ThreadPool pool;
  ComputeDevice device;
  Arena arena;
  Context ctx;
};

// Of a checkpoint's weights: as every command that reads or writes text has them, or widened.
struct WeightsChoice {
  std::string dtype = "native";

  void bind(Flags& flags) {
    flags.choice("dtype", dtype, {"native", "f32"},
                 "the checkpoint's weights multiplied as stored, or widened to F32");
  }
  LoadAs load_as() const { return dtype == "native" ? LoadAs::kAsStored : LoadAs::kF32; }
};

struct ModelChoice {
  std::string model, preset;
  WeightsChoice weights;
  ActivationsFlag activations;

  void bind(Flags& flags) {
    flags.option("model", model, "checkpoint folder");
    flags.option("preset", preset,
                 "a built-in shape with random F32 weights instead (default: small)");
    weights.bind(flags);
    activations.bind(flags);
  }
  DeepseekV3 make(Context& ctx, const CommonOptions& common) const {
    require(model.empty() || preset.empty(), {.field = "--preset",
                                              .problem = "given beside --model",
                                              .found = "both",
                                              .expected = "one",
                                              .advice = "leave one out"});
    if (!model.empty()) {
      DeepseekV3 stored = load_model(ctx, model, {.dtype = weights.load_as(), .with_mtp = true});
      activations.apply(stored);
      return stored;
    }
    const std::string name = preset.empty() ? "small" : preset;
    const ModelConfig config = find_preset(name).config;
    require_memory(config, name, f32_bytes(config), HeldBecause::kRandom, available_memory());
    DeepseekV3 result = make_model(config, ctx.arena);
    initialise_weights(result, ctx.arena, common.seed, 0.02F);
    activations.apply(result);
    return result;
  }
};

struct InferBench {
  ModelChoice choice;
  CacheFlags cache;
  MeasureInferOptions measure;
  int64_t depth = -1;

  MeasureInferOptions options() const {
    MeasureInferOptions result = measure;
    result.cache = cache.form();
    return result;
  }
};

void bind_prefill(Flags& flags, InferBench& o) {
  flags.library_names({{"max_tokens", "--prompt-tokens"}, {"draft_tokens", "--speculate"}});
  flags.example("hadal bench prefill --preset small --prompt-tokens 512",
                "tokens per second of reading a prompt");
  o.choice.bind(flags);
  o.cache.bind_dtype(flags);
  flags.option("prompt-tokens", o.measure.prompt_tokens, "length of the prompt");
  flags.option("rounds", o.measure.rounds, "rounds; the best counts");
}

int run_prefill(const InferBench& o, const CommonOptions& common, Output& out) {
  Bench bench(common);
  DeepseekV3 model = o.choice.make(bench.ctx, common);
  return print_report(measure_prefill(bench.ctx, model, o.options()), out);
}

void bind_decode(Flags& flags, InferBench& o) {
  flags.library_names({{"max_tokens", "--decode-tokens"}, {"draft_tokens", "--speculate"}});
  flags.example("hadal bench decode --model DIR --prompt-tokens 512",
                "tokens per second of writing behind 512 tokens");
  o.measure.prompt_tokens = 16;
  o.choice.bind(flags);
  o.cache.bind_dtype(flags);
  flags.option("prompt-tokens", o.measure.prompt_tokens, "tokens in the cache at the start");
  flags.option("decode-tokens", o.measure.decode_tokens, "tokens to write");
  flags.option(
      "depth", o.depth,
      "in place of a prompt: so many cached tokens, made up; says how speed falls with them");
  flags.option("speculate", o.measure.draft_tokens, "tokens that MTP drafts per step; 0: none");
  flags.option("batch", o.measure.batch, "sequences that are written together");
  flags.option("rounds", o.measure.rounds, "rounds; the best counts");
}

int run_decode(const InferBench& o, const CommonOptions& common, Output& out) {
  Bench bench(common);
  DeepseekV3 model = o.choice.make(bench.ctx, common);
  const MeasureInferOptions options = o.options();
  if (o.depth < 0) return print_report(measure_decode(bench.ctx, model, options), out);
  return print_report(measure_decode_at_depth(bench.ctx, model,
                                              {.depth = o.depth,
                                               .batch = options.batch,
                                               .steps = options.decode_tokens,
                                               .rounds = options.rounds,
                                               .cache = options.cache}),
                      out);
}

struct MixedBench {
  ModelChoice choice;
  CacheFlags cache;
  MeasureMixedOptions measure;
};

void bind_mixed(Flags& flags, MixedBench& o) {
  flags.example("hadal bench mixed --model DIR --batch 4 --prompt-tokens 2048",
                "what reading a long prompt costs those that are writing");
  o.choice.bind(flags);
  o.cache.bind_dtype(flags);
  flags.option("batch", o.measure.batch, "sequences that write");
  flags.option("prompt-tokens", o.measure.prompt_tokens, "length of the prompt that is read");
  flags.option("decode-tokens", o.measure.decode_tokens, "tokens of each writer before it comes");
  flags.option("chunk", o.measure.chunk_beside_decoding, "rows of the prompt in one step");
}

int run_mixed(const MixedBench& o, const CommonOptions& common, Output& out) {
  Bench bench(common);
  DeepseekV3 model = o.choice.make(bench.ctx, common);
  MeasureMixedOptions options = o.measure;
  options.cache = o.cache.form();
  return print_report(measure_mixed(bench.ctx, model, options), out);
}

struct TrainBench {
  std::string preset;
  MeasureTrainOptions measure;
};

void bind_train(Flags& flags, TrainBench& o) {
  flags.example("hadal bench train --threads 1", "optimizer steps of an 11.8M-parameter model");
  flags.option("preset", o.preset, "a built-in shape in place of the 11.8M one");
  flags.option("batch", o.measure.batch, "sequences per step");
  flags.option("seq", o.measure.seq, "tokens per sequence");
  flags.option("micro-batch", o.measure.micro_batch,
               "sequences per pass; 0: as training chooses, by the threads");
  flags.option("steps", o.measure.steps, "steps; the first warms up");
  flags.choice("precision", o.measure.precision, {"fp32", "bf16", "fp8"},
               "of all linears' products (docs/precision.md)");
  flags.choice("weight-gradient", o.measure.weight_gradient, {"retiled", "columns"},
               "where FP8's operands of weight gradients come from");
  flags.choice("norms", o.measure.norms, {"inputs", "outputs"},
               "what of norms waits for backward in FP8");
  flags.choice("recompute", o.measure.recompute, {"auto", "selective", "none"},
               "what backward forms again, as train.recompute");
}

int run_train(const TrainBench& o, const CommonOptions& common, Output& out) {
  Bench bench(common);
  MeasureTrainOptions options = o.measure;
  options.model = o.preset.empty() ? training_peer_shape() : find_preset(o.preset).config;
  options.preset = o.preset;
  options.seed = common.seed_given ? common.seed : options.seed;
  return print_report(measure_train(bench.ctx, options), out);
}

struct GemmBench {
  std::vector<std::string> shapes;
  int64_t rounds = 20;
};

void bind_gemm(Flags& flags, GemmBench& o) {
  flags.example("hadal bench gemm --shape 64x512x512 --shape 64x4x512x512",
                "one dense product (MxNxK) and one grouped by 64 experts");
  flags.option("shape", o.shapes, "MxNxK or EXPERTSxMxNxK; repeatable (default: a list)");
  flags.option("rounds", o.rounds, "rounds; the best counts");
}

int run_gemm(const GemmBench& o, const CommonOptions& common, Output& out) {
  require(
      o.rounds >= 1,
      {.field = "--rounds", .problem = "out of range", .found = o.rounds, .expected = "1 or more"});
  Bench bench(common);
  MeasureGemmOptions options{.shapes = {}, .rounds = o.rounds};
  for (const std::string& shape : o.shapes) options.shapes.push_back(GemmShape::parse(shape));
  return print_report(measure_gemm(bench.ctx, options), out);
}

struct LoadBench {
  std::string model;
  WeightsChoice weights;
  CacheFlags cache;
  LoadMeasureOptions measure;
};

void bind_load(Flags& flags, LoadBench& o) {
  flags.example(
      "hadal bench load --model DIR",
      "seconds until a checkpoint is ready to run, and until its first token; peak memory");
  flags.required("model", o.model, "checkpoint folder");
  o.weights.bind(flags);
  o.cache.bind_dtype(flags);
  flags.option("prompt-tokens", o.measure.prompt_tokens, "tokens before the first one written");
  flags.option("rounds", o.measure.rounds, "rounds; the best counts");
}

int run_load(const LoadBench& o, const CommonOptions& common, Output& out) {
  Bench bench(common);
  LoadMeasureOptions options = o.measure;
  options.dtype = o.weights.load_as();
  options.cache = o.cache.form();
  return print_report(measure_load(bench.ctx, o.model, options), out);
}

struct TokenizerBench {
  std::string model, file;
  int64_t rounds = 3;
};

void bind_tokenizer(Flags& flags, TokenizerBench& o) {
  flags.library_names({{"text", "--file"}});
  flags.example("hadal bench tokenizer --model DIR --file text.txt", "MB/s of encoding a text");
  flags.required("model", o.model, "tokenizer.json, or a folder that holds one");
  flags.required("file", o.file, "text to encode");
  flags.option("rounds", o.rounds, "rounds; the best counts");
}

int run_tokenizer(const TokenizerBench& o, const CommonOptions& common, Output& out) {
  Bench bench(common);
  const Tokenizer tokenizer = Tokenizer::load(o.model);
  const std::string text = read_text_file(o.file);
  return print_report(measure_tokenizer(bench.ctx, tokenizer, text, o.rounds), out);
}

}  // namespace

Command make_bench_prefill_command() {
  return define_command<InferBench>("bench prefill", "measure the speed of reading a prompt",
                                    bind_prefill, run_prefill);
}
Command make_bench_decode_command() {
  return define_command<InferBench>("bench decode", "measure the speed of writing tokens",
                                    bind_decode, run_decode);
}
Command make_bench_mixed_command() {
  return define_command<MixedBench>("bench mixed", "measure writing while a long prompt is read",
                                    bind_mixed, run_mixed);
}
Command make_bench_train_command() {
  return define_command<TrainBench>("bench train", "measure the speed and memory of training steps",
                                    bind_train, run_train);
}
Command make_bench_gemm_command() {
  return define_command<GemmBench>("bench gemm", "measure matrix products, dense and per expert",
                                   bind_gemm, run_gemm);
}
Command make_bench_load_command() {
  return define_command<LoadBench>("bench load",
                                   "measure how fast a checkpoint loads, and its peak memory",
                                   bind_load, run_load);
}
Command make_bench_tokenizer_command() {
  return define_command<TokenizerBench>("bench tokenizer", "measure the speed of a tokenizer",
                                        bind_tokenizer, run_tokenizer);
}

}  // namespace hadal::cli
