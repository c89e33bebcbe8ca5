// cli/cmd_generate.cc: `hadal generate`
#include <cstdio>
#include <filesystem>

#include "hadal/cli/activations_flag.h"
#include "hadal/cli/cache_flags.h"
#include "hadal/cli/commands.h"
#include "hadal/cli/sampling_flags.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/infer/session.h"
#include "hadal/infer/text_stream.h"
#include "hadal/io/safetensors.h"

namespace hadal::cli {
namespace {

struct GenerateCommand {
  ActivationsFlag activations;
  std::string model, prompt, prompt_file, prompt_tokens, suffix, record;
  int64_t max_context = 0, logprobs = 0;
  CacheFlags cache;
  SamplingFlags sampling;
};

void bind(Flags& flags, GenerateCommand& o) {
  flags.library_names({{"context", "--max-context"},
                       {"draft_tokens", "--speculate"},
                       {"top_logprobs", "--logprobs"}});
  flags.example("hadal generate --model runs/nano --prompt \"Once upon a time\"",
                "continue a text, as it is written");
  flags.example("hadal generate -m runs/nano -p \"The\" --temp 0.8 --top-p 0.95 --seed 7 -n 200",
                "sample 200 tokens, the same ones every time");
  flags.example("hadal generate -m DIR --prompt-tokens ids.json --temperature 0 --json",
                "token ids in and out, for scripts");
  flags.required("model,-m", o.model, "model folder");
  flags.option("prompt,-p", o.prompt, "text to continue");
  flags.option("prompt-file,-f", o.prompt_file, "file to continue; - reads standard input");
  flags.option("prompt-tokens", o.prompt_tokens, "JSON file with the prompt's token ids");
  flags.option("suffix", o.suffix,
               "text that follows what is written: fills in the middle, if the tokenizer has the "
               "marks for it");
  flags.option("max-context,-c,--ctx-size", o.max_context,
               "tokens of prompt and answer together at most; 0: as many as the model has "
               "positions");
  flags.option("logprobs", o.logprobs,
               "with --json: each token's logprob, and those of the N most probable ones");
  flags.option("record", o.record,
               "safetensors file for the experts that every token chose, and the ids that the "
               "sampler had left to draw from");
  o.cache.bind(flags);
  o.sampling.bind(flags);
  o.activations.bind(flags);
}

// [1,2,3] or, as in `hadal dump --tokens`, [[1,2,3]].
std::vector<int32_t> read_token_file(const std::string& file) {
  const Json json = parse_json_file(file);
  const auto wrong = [&](const std::string& found) {
    return FormatError(concat(file, ": not a list of token ids (found ", found,
                              ", expected one list like [0, 17, 42]); write one list of whole "
                              "numbers"));
  };
  if (!json.is_array()) throw wrong(json.type_name());
  const Json* list = &json;
  if (!json.as_array().empty() && json.as_array().front().is_array()) {
    if (json.as_array().size() != 1) throw wrong(concat(json.as_array().size(), " lists"));
    list = &json.as_array().front();
  }
  std::vector<int32_t> ids;
  for (const Json& id : list->as_array()) {
    if (!id.is_integer() || id.as_integer() < 0 || id.as_integer() > 0x7FFFFFFF) {
      throw wrong(id.dump().substr(0, 40));
    }
    ids.push_back(static_cast<int32_t>(id.as_integer()));
  }
  return ids;
}

// <fim begin> prefix <fim hole> suffix <fim end>: the model writes the middle.
std::vector<int32_t> fill_in_middle_prompt(const TextModel& m, const std::string& prefix,
                                           const std::string& suffix) {
  const auto marks = m.need_tokenizer().fim_tokens();
  require(marks.has_value(), {.field = "--suffix",
                              .problem = {m.folder, " cannot fill in the middle"},
                              .found = "no FIM tokens",
                              .expected = "them in tokenizer.json",
                              .advice = "leave the option out"});
  std::vector<int32_t> ids;
  const auto append = [&](const std::string& text) {
    const std::vector<int32_t> more = m.tokenizer->encode(text, /*added_tokens=*/false);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  if (m.tokenizer->add_bos() && m.tokenizer->bos_id()) ids.push_back(*m.tokenizer->bos_id());
  ids.push_back(marks->begin);
  append(prefix);
  ids.push_back(marks->hole);
  append(suffix);
  ids.push_back(marks->end);
  return ids;
}

void check_prompt_options(const Flags& flags) {
  const int n = int{flags.given("prompt")} + int{flags.given("prompt-file")} +
                int{flags.given("prompt-tokens")};
  require(n == 1, {.field = "--prompt",
                   .problem = n == 0 ? "missing" : "given more than once",
                   .found = n,
                   .expected = "one of --prompt, --prompt-file, --prompt-tokens",
                   .advice = "see hadal generate --help"});
  require(!flags.given("suffix") || !flags.given("prompt-tokens"),
          {.field = "--suffix",
           .problem = "needs a text prompt",
           .found = "--prompt-tokens",
           .expected = "--prompt or --prompt-file"});
}

std::vector<int32_t> make_prompt(const GenerateCommand& o, const Flags& flags, const TextModel& m) {
  if (flags.given("prompt-tokens")) return read_token_file(o.prompt_tokens);
  m.need_tokenizer();
  const std::string text = flags.given("prompt") ? o.prompt : read_text_argument(o.prompt_file);
  if (flags.given("suffix")) return fill_in_middle_prompt(m, text, o.suffix);
  return m.encode(text);
}

int64_t context_limit(const GenerateCommand& o, const ModelConfig& config) {
  const int64_t most = config.max_position_embeddings;
  require(o.max_context >= 0 && o.max_context <= most,
          {.field = "--max-context",
           .problem = "out of range",
           .found = o.max_context,
           .expected = {"at most ", most},
           .advice = "the model has no more positions"});
  return o.max_context == 0 ? most : o.max_context;
}

void note_timing(const GenerateResult& r, const ModelConfig& config, bool with_mtp,
                 LatentForm cache) {
  const double cache_bytes =
      static_cast<double>(r.prompt_tokens + static_cast<int64_t>(r.tokens.size())) *
      static_cast<double>(LatentPages::bytes_per_token(config, with_mtp ? config.n_mtp : 0, cache));
  char line[256];
  std::snprintf(line, sizeof(line),
                "prompt: %lld tokens, %.1f tokens/s; written: %zu tokens, %.1f tokens/s; latent "
                "cache: %s",
                static_cast<long long>(r.prompt_tokens), r.prefill_tokens_per_s(), r.tokens.size(),
                r.decode_tokens_per_s(), human_bytes(cache_bytes).c_str());
  log_note(line);
  if (r.drafted() == 0) return;
  std::snprintf(
      line, sizeof(line),
      "speculation: kept %lld of %lld drafts by MTP, %lld of %lld by n-grams; %.2f tokens "
      "per step",
      static_cast<long long>(r.mtp.accepted), static_cast<long long>(r.mtp.drafted),
      static_cast<long long>(r.ngram.accepted), static_cast<long long>(r.ngram.drafted),
      r.accepted_tokens_per_step());
  log_note(line);
}

// What training needs to replay the answer (infer/token_record.h).
void write_record(const std::string& file, std::vector<int32_t> tokens, const GenerateResult& r) {
  const int64_t n_prompt = std::ssize(tokens);
  tokens.insert(tokens.end(), r.tokens.begin(), r.tokens.end());
  const auto tensors = record_tensors(*r.record, std::move(tokens));
  std::vector<std::pair<std::string, const Tensor*>> to_write;
  for (const auto& [name, tensor] : tensors) to_write.emplace_back(name, &tensor);
  write_safetensors(file, to_write, {{"prompt_tokens", concat(n_prompt)}});
}

Json counts_json(const DraftCounts& counts) {
  Json json;
  json["drafted"] = counts.drafted;
  json["accepted"] = counts.accepted;
  return json;
}

Json result_json(const GenerateResult& r, const TextStream* stream) {
  Json json;
  json["text"] = stream != nullptr ? Json(stream->text()) : Json();
  json["tokens"] = Json::array_of(r.tokens);
  if (!r.logprobs.empty()) json["logprobs"] = logprobs_json(r.logprobs);
  json["prompt_tokens"] = r.prompt_tokens;
  json["finish_reason"] = r.finish_reason;
  json["prefill_tokens_per_s"] = r.prefill_tokens_per_s();
  json["decode_tokens_per_s"] = r.decode_tokens_per_s();
  json["accepted_tokens_per_step"] = r.accepted_tokens_per_step();
  json["acceptance_rate"] = r.acceptance_rate();
  json["mtp"] = counts_json(r.mtp);
  json["ngram"] = counts_json(r.ngram);
  return json;
}

int run(const GenerateCommand& o, const CommonOptions& common, const Flags& flags, Output& out) {
  check_prompt_options(flags);
  catch_interrupts();
  o.cache.form();  // before the model is loaded
  TextModel m(o.model, common.threads, common.chosen_device(), o.sampling.may_use_mtp());
  o.activations.apply(m.model);
  const ModelConfig& config = m.model.config;
  GenerateOptions options;
  options.sampling = o.sampling.sampling(flags, common, m);
  options.stop_tokens = o.sampling.stop_tokens(m);
  o.sampling.set_drafts(options, config);
  options.record = !o.record.empty();
  if (flags.given("logprobs")) options.top_logprobs = o.logprobs;
  require(!options.top_logprobs || out.json(),
          {.field = "--logprobs", .problem = "written in the JSON only", .advice = "add --json"});
  const std::vector<int32_t> prompt = make_prompt(o, flags, m);
  const int64_t n_prompt = static_cast<int64_t>(prompt.size());
  const int64_t context = context_limit(o, config);
  // Without --max-tokens the answer ends where the context does; an explicit number that does not fit
  // is an error, never cut short in silence.
  options.max_tokens = o.sampling.answer_limit(flags, m, context - n_prompt);
  require_room(context, n_prompt, options.max_tokens);

  ProgressLine progress;
  const auto on_prefill = [&](double fraction) {
    if (progress.due()) progress.show(concat("reading the prompt ", progress_bar(fraction, 24)));
    return !interrupted();
  };
  std::optional<TextStream> stream;
  if (m.tokenizer) stream.emplace(*m.tokenizer, m.stop_texts(o.sampling.stop));
  require(stream || o.sampling.stop.empty(), {.field = "--stop",
                                              .problem = {m.folder, " has no tokenizer"},
                                              .found = "text",
                                              .expected = "none",
                                              .advice = "leave the option out"});
  const auto show = [&](const std::string& text) {
    out.text(text);
    if (!text.empty()) std::fflush(stdout);
  };
  bool first = true;
  m.model.ensure_rope(m.arena, n_prompt + options.max_tokens);
  const auto on_token = [&](int32_t token) {
    if (stream) {
      show(stream->push(token));
    } else {
      show(concat(first ? "" : " ", token));
    }
    first = false;
    return !interrupted() && !(stream && stream->stopped());
  };
  const GenerateResult result = generate(m.ctx, m.model, prompt, options, on_token, on_prefill,
                                         o.cache.options(m.folder, o.activations));
  if (stream) show(stream->finish());
  show("\n");
  if (interrupted()) throw Interrupted("generate: interrupted; what is written so far was printed");
  if (result.record) write_record(o.record, prompt, result);
  if (out.json()) out.report(result_json(result, stream ? &*stream : nullptr));
  note_timing(result, config, o.sampling.may_use_mtp(), o.cache.form());
  return 0;
}

}  // namespace

Command make_generate_command() {
  auto options = std::make_shared<GenerateCommand>();
  return {"generate", "continue a prompt", [options](Flags& flags) { bind(flags, *options); },
          [options](const CommonOptions& common, const Flags& flags, Output& out) {
            return run(*options, common, flags, out);
          }};
}

}  // namespace hadal::cli
