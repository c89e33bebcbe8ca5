// cli/cmd_inspect.cc: `hadal inspect`
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include "hadal/cli/commands.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/number_text.h"
#include "hadal/data/tokenizer.h"
#include "hadal/io/model_files.h"
#include "hadal/model/inspect.h"

namespace hadal::cli {
namespace {

struct InspectOptions {
  std::string path;
  bool verify = false;
};

void bind(Flags& flags, InspectOptions& o) {
  flags.example("hadal inspect DeepSeek-V3",
                "what the checkpoint holds, and whether it is complete");
  flags.example("hadal inspect DeepSeek-V3 --verify", "also reads every value and checksum");
  flags.positional("PATH", o.path,
                   "checkpoint folder, safetensors file, tokenizer.json, config.json or preset");
  flags.flag("verify", o.verify, "read all data: values must be finite, checksums must match");
}

// "model.layers.12.mlp.experts.3.up_proj.weight" -> "model.layers.*.mlp.experts.*.up_proj.weight"
std::string pattern_of(const std::string& name) {
  std::string result;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    const bool number = !part.empty() && std::all_of(part.begin(), part.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
    result += (begin > 0 ? "." : "") + (number ? "*" : part);
    begin = end + 1;
  }
  return result;
}

struct TensorGroup {
  std::string label, dtype, shape;
  int64_t tensors = 0, bytes = 0;
};

// Tensors alike but for layer and expert number become one line, in the order of their first.
std::string tensor_table(const Json::Array& tensors) {
  std::vector<TensorGroup> groups;
  std::map<std::string, size_t> group_of;
  size_t width = 0;
  for (const Json& tensor : tensors) {
    TensorGroup one{pattern_of(tensor.at("name").as_string()), tensor.at("dtype").as_string(),
                    tensor.at("shape").dump()};
    const auto [found, is_new] =
        group_of.try_emplace(concat(one.label, one.dtype, one.shape), groups.size());
    width = std::max(width, one.label.size());
    if (is_new) groups.push_back(std::move(one));
    ++groups[found->second].tensors;
    groups[found->second].bytes += tensor.at("bytes").as_integer();
  }
  std::string text;
  for (const TensorGroup& group : groups) {
    char line[400];
    std::snprintf(line, sizeof line, "  %-*s  %6lld x %-8s %-16s %10s\n",
                  static_cast<int>(std::min<size_t>(width, 100)),
                  group.label.substr(0, 100).c_str(), static_cast<long long>(group.tensors),
                  group.dtype.c_str(), group.shape.substr(0, 60).c_str(),
                  human_bytes(static_cast<double>(group.bytes)).c_str());
    text += line;
  }
  return text;
}

void add_line(std::string& text, const std::string& name, const std::string& value) {
  text += name + std::string(name.size() < 20 ? 20 - name.size() : 1, ' ') + value + "\n";
}

std::string count_text(const Json& count) {
  return concat(human_count(count.as_number()), "  (", count.as_integer(), ")");
}

// "bf16 1.34 TB, fp8 689 GB, ..." and what the cache takes: the two things that a machine must hold.
void add_memory(std::string& text, const Json& memory) {
  const auto sizes = [](const Json& of_form, double times) {
    std::string line;
    for (const auto& [form, bytes] : of_form.as_object()) {
      line += concat(line.empty() ? "" : ", ", form, " ", human_bytes(bytes.as_number() * times));
    }
    return line;
  };
  add_line(text, "weights in", sizes(memory.at("weight_bytes"), 1.0));
  add_line(text, "cache of 1K tokens", sizes(memory.at("cache_bytes_per_token"), 1024.0));
  if (const double available = memory.at("available_bytes").as_number(); available > 0) {
    add_line(text, "memory available", human_bytes(available));
  }
}

void print_text(const Json& document, Output& out) {
  std::string text;
  add_line(text, "kind", document.at("kind").as_string());
  const auto add_if = [&](const char* key, const char* label, const auto& format) {
    const Json* value = document.find(key);
    if (value && !value->is_null()) add_line(text, label, format(*value));
  };
  add_if("architecture", "architecture", [](const Json& v) { return v.as_string(); });
  add_if("parameters_total", "parameters", count_text);
  add_if("parameters_active", "active per token", count_text);
  add_if("parameters_mtp", "MTP modules", count_text);
  add_if("vocab_size", "vocabulary", [](const Json& v) { return v.dump() + " ids"; });
  add_if("added_tokens", "added tokens", [](const Json& v) { return v.dump(); });
  add_if("bytes", "size", [](const Json& v) { return human_bytes(v.as_number()); });
  add_if("files", "weight files", [](const Json& v) { return v.dump(); });
  if (const Json* memory = document.find("memory"); memory && memory->is_object()) {
    add_memory(text, *memory);
  }
  if (document.find("verified") && document.at("verified").as_bool()) {
    add_line(text, "verified", "every value is finite, every checksum matches");
  }
  if (const Json* tensors = document.find("tensors"); tensors && tensors->is_array()) {
    text +=
        concat("tensors (", tensors->as_array().size(), ")\n") + tensor_table(tensors->as_array());
  }
  if (const Json* config = document.find("config"); config && config->is_object()) {
    text += "config\n";
    for (const auto& [key, value] : config->as_object()) {
      add_line(text, "  " + key + std::string(key.size() < 28 ? 28 - key.size() : 0, ' '),
               value.is_string() ? value.as_string() : value.dump());
    }
  }
  out.text(text);
}

void add_tokenizer(Json& document, const std::string& path) {
  const Tokenizer tokenizer = Tokenizer::load(path);
  std::error_code ignored;
  std::filesystem::path file = model_folder(path);
  if (std::filesystem::is_directory(file, ignored)) file /= "tokenizer.json";
  document["bytes"] = static_cast<int64_t>(std::filesystem::file_size(file, ignored));
  document["vocab_size"] = tokenizer.vocab_size();
  document["added_tokens"] = static_cast<int64_t>(tokenizer.added_tokens().size());
}

int run(const InspectOptions& o, const CommonOptions& common, Output& out) {
  catch_interrupts();
  ThreadPool pool(common.threads);
  Arena arena;
  Context ctx{pool, arena};
  const InspectKind kind = kind_of(o.path);
  Json document = inspect_path(ctx, o.path, kind, o.verify);
  if (kind == InspectKind::kTokenizer) add_tokenizer(document, o.path);
  if (out.json()) {
    out.report(document);
  } else {
    print_text(document, out);
  }
  return 0;
}

}  // namespace

Command make_inspect_command() {
  return define_command<InspectOptions>(
      "inspect", "describe and check a checkpoint, weights, a tokenizer or a config.json", bind,
      run);
}

}  // namespace hadal::cli
