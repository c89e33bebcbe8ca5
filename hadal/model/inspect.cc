#include "hadal/model/inspect.h"

#include <atomic>
#include <cmath>
#include <filesystem>

#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/io/manifest.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"
#include "hadal/model/checkpoint_reader.h"
#include "hadal/model/found_config.h"
#include "hadal/model/memory_needs.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

bool holds_weights(const fs::path& folder) {
  return path_exists(folder / "model.safetensors") ||
         path_exists(folder / "model.safetensors.index.json");
}

InspectKind kind_of_folder(const std::string& path) {
  const fs::path folder(path);
  if (holds_weights(folder)) {
    return path_exists(folder / "config.json") ? InspectKind::kCheckpoint
                                               : InspectKind::kSafetensors;
  }
  if (path_exists(folder / "config.json")) return InspectKind::kConfig;
  if (path_exists(folder / "tokenizer.json")) return InspectKind::kTokenizer;
  throw FormatError(concat(path,
                           ": nothing to inspect in this folder (expected config.json, "
                           "model.safetensors or tokenizer.json)"));
}

InspectKind kind_of_json(const std::string& path) {
  if (path.ends_with(".safetensors.index.json")) return InspectKind::kSafetensors;
  const Json json = parse_json_file(path);
  return json.find("added_tokens") || (json.find("model") && json.at("model").is_object())
             ? InspectKind::kTokenizer
             : InspectKind::kConfig;
}

template <class T, class IsFinite>
int64_t count_bad(Context& ctx, const Tensor& tensor, const IsFinite& is_finite) {
  const auto values = tensor.flat<T>();
  std::atomic<int64_t> bad = 0;
  ctx.pool.parallel_for(tensor.size(), 1 << 16, [&](int64_t begin, int64_t end, int) {
    int64_t found = 0;
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      found += is_finite(values[i]) ? 0 : 1;
    }
    bad += found;
  });
  return bad;
}

int64_t count_not_finite(Context& ctx, const Tensor& tensor) {
  const auto wide = [](auto value) { return std::isfinite(value); };
  switch (tensor.dtype()) {
    case DType::kF32:
      return count_bad<float>(ctx, tensor, wide);
    case DType::kF64:
      return count_bad<double>(ctx, tensor, wide);
    case DType::kBF16:
      return count_bad<bf16>(ctx, tensor, [](bf16 v) { return (v.bits & 0x7F80) != 0x7F80; });
    case DType::kF16:
      return count_bad<f16>(ctx, tensor, [](f16 v) { return (v.bits & 0x7C00) != 0x7C00; });
    case DType::kF8E4M3:
      return count_bad<f8e4m3>(ctx, tensor, [](f8e4m3 v) { return (v.bits & 0x7F) != 0x7F; });
    default:
      return 0;
  }
}

// Reads every byte.
void verify_values(Context& ctx, const TensorSource& source, int64_t total_bytes) {
  ProgressLine line;
  int64_t done = 0;
  const double start = monotonic_seconds();
  for (const auto& [name, entry] : source.entries()) {
    if (interrupted()) throw Interrupted("inspect: interrupted");
    const int64_t bad = count_not_finite(ctx, source.tensor(entry));
    if (bad > 0) {
      throw FormatError(
          concat(entry.file->path(), ": tensor ", in_quotes(name), ": ", bad,
                 " values are not finite (expected none); the checkpoint is damaged"));
    }
    done += stored_bytes(*entry.info);
    if (line.due()) {
      const double fraction = static_cast<double>(done) / static_cast<double>(total_bytes);
      line.show(concat("verify ", progress_bar(fraction, 20), "  ",
                       human_bytes(static_cast<double>(done) / (monotonic_seconds() - start)),
                       "/s"));
    }
  }
}

void verify_manifest(const fs::path& folder) {
  const fs::path manifest = folder / "manifest.json";
  if (!path_exists(manifest)) return;
  const std::string damage = find_damage(folder.string());
  if (!damage.empty()) throw FormatError(concat(manifest.string(), ": ", damage));
}

void add_tensors(Json& document, const TensorSource& source) {
  Json::Array tensors;
  int64_t bytes = 0;
  for (const auto& file : source.files()) {
    bytes += file->bytes();
    for (const TensorInfo& info : file->tensors()) {
      const auto* entry = source.find(info.name);
      if (!entry || entry->info != &info) continue;
      Json tensor = Json::object();
      tensor["name"] = info.name;
      tensor["dtype"] = dtype_name(info.dtype);
      tensor["shape"] = Json::array_of(info.shape);
      tensor["bytes"] = stored_bytes(info);
      tensors.push_back(std::move(tensor));
    }
  }
  document["bytes"] = bytes;
  document["files"] = static_cast<int64_t>(source.files().size());
  document["tensors"] = std::move(tensors);
}

// What running it takes: docs/weights.md.
void add_needs(Json& document, const ModelConfig& config) {
  const MemoryNeeds needs = memory_needs(config);
  Json memory = Json::object();
  Json weights = Json::object();
  for (const auto& [form, bytes] : needs.weights) weights[std::string(form_name(form))] = bytes;
  memory["weight_bytes"] = std::move(weights);
  memory["cache_bytes_per_token"]["BF16"] = needs.cache_bytes_bf16;
  memory["cache_bytes_per_token"]["FP8"] = needs.cache_bytes_fp8;
  memory["available_bytes"] = available_memory();
  document["memory"] = std::move(memory);
}

void add_config(Json& document, const ModelConfig& config) {
  const ParameterCount count = count_parameters(config);
  document["config"] = config_to_hf(config);
  document["architecture"] = document["config"].at("architectures").as_array()[0];
  document["parameters_total"] = count.total;
  document["parameters_active"] = count.active;
  document["parameters_mtp"] = count.mtp;
  add_needs(document, config);
}

// Whoever inspects a folder asks about its weights: a description of config.json alone must not pass
// for an answer.
void check_for_unread_weights(const std::string& path, bool verify) {
  if (!is_folder(path)) return;
  const UnreadWeights unread = unread_weights(path);
  const bool none = unread.found.empty();
  if (none && !verify) return;
  const Refusal refusal({.place = path,
                         .problem = none ? "no weights to verify" : "no weights that hadal reads",
                         .found = unread.found,
                         .expected = "model.safetensors or model.safetensors.index.json",
                         .advice = unread.advice});
  if (verify) throw FormatError(refusal);
  log_note(refusal.line(), "; what follows is config.json alone");
}

int64_t element_count(const TensorSource& source) {
  int64_t n = 0;
  for (const auto& [name, entry] : source.entries()) {
    n += stored_bytes(*entry.info) / dtype_bytes(entry.info->dtype);
  }
  return n;
}

const char* kind_name(InspectKind kind) {
  switch (kind) {
    case InspectKind::kCheckpoint:
      return "checkpoint";
    case InspectKind::kSafetensors:
      return "safetensors";
    case InspectKind::kTokenizer:
      return "tokenizer";
    case InspectKind::kConfig:
      return "config";
  }
  return "";
}

}  // namespace

InspectKind kind_of(const std::string& given) {
  const std::string path = model_folder(given);
  if (is_folder(path)) return kind_of_folder(path);
  if (!path_exists(path)) return InspectKind::kConfig;  // a preset, or load_config says no
  if (path.ends_with(".json")) return kind_of_json(path);
  return InspectKind::kSafetensors;
}

Json inspect_path(Context& ctx, const std::string& path, InspectKind kind, bool verify) {
  Json document = Json::object();
  document["kind"] = kind_name(kind);
  document["path"] = path;
  for (const char* key : {"architecture", "parameters_total", "parameters_active", "parameters_mtp",
                          "bytes", "files", "tensors", "config", "memory"}) {
    document[key] = Json();
  }
  if (kind == InspectKind::kTokenizer) return document;
  if (kind == InspectKind::kConfig) {
    check_for_unread_weights(path, verify);
    add_config(document, load_config(path));
  } else if (kind == InspectKind::kSafetensors) {
    const TensorSource source = TensorSource::open(path);
    add_tensors(document, source);
    document["parameters_total"] = element_count(source);
    if (verify) verify_values(ctx, source, document["bytes"].as_integer());
  } else {
    const OpenCheckpoint checkpoint = open_checkpoint(path, /*with_mtp=*/true);
    DeepseekV3 shapes = make_model(checkpoint.config, ctx.arena);
    find_all_stored(checkpoint, named_params(shapes));
    add_config(document, checkpoint.config);
    add_tensors(document, checkpoint.source);
    if (verify) {
      const auto copy = find_false_copy(load_config(path), checkpoint.source);
      if (copy) throw FormatError(*copy);
      verify_values(ctx, checkpoint.source, document["bytes"].as_integer());
      verify_manifest(model_folder(path));
    }
  }
  document["verified"] = verify;
  return document;
}

}  // namespace hadal
