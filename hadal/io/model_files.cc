#include "hadal/io/model_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "hadal/core/descriptor.h"
#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/io/block_store.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSaveAgain =
    "convert it: save_pretrained of Hugging Face's transformers writes safetensors";
constexpr const char* kSourceOfGguf =
    "hadal reads folders with config.json and safetensors; give the one it was made from";

constexpr const char* kSourceOfDemo =
    "DeepSeek's own demo program cut them for its processes; give the folder they were converted "
    "from";

struct ForeignFormat {
  std::string_view begins, name, advice;
};
constexpr ForeignFormat kForeign[] = {
    {"GGUF", "GGUF", kSourceOfGguf},
    {"PK\x03\x04", "a zip archive, as PyTorch writes", kSaveAgain},
    {"\x80\x02", "a Python pickle, as PyTorch writes", kSaveAgain},
    {"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"},
    {"<!DOCTYPE", "a web page", "download the file again"},
    {"<!doctype", "a web page", "download the file again"},
    {"<html", "a web page", "download the file again"}};

bool holds_weights(const std::string& name) {
  return name.ends_with(".gguf") || name.ends_with(".pth") || name.ends_with(".pt") ||
         (name.starts_with("pytorch_model") && name.ends_with(".bin")) ||
         (name.starts_with("model") && name.ends_with(".safetensors"));
}

// "model0-mp8.safetensors"
bool is_demo_shard(const std::string& name) {
  return name.starts_with("model") && name.find("-mp") != std::string::npos &&
         name.ends_with(".safetensors");
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path hub_cache() {
  if (const std::string hub = environment("HF_HUB_CACHE"); !hub.empty()) return hub;
  if (const std::string home = environment("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  const std::string cache = environment("XDG_CACHE_HOME");
  return (cache.empty() ? fs::path(environment("HOME")) / ".cache" : fs::path(cache)) /
         "huggingface" / "hub";
}

// "models--ORG--NAME" for "ORG/NAME"; empty for all else.
std::string hub_name(const std::string& path) {
  const size_t slash = path.find('/');
  const auto is_part = [](std::string_view part) {
    return !part.empty() && part.front() != '.' && std::ranges::all_of(part, [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
    });
  };
  if (slash == std::string::npos) return "";
  const std::string organisation = path.substr(0, slash), name = path.substr(slash + 1);
  return is_part(organisation) && is_part(name) ? concat("models--", organisation, "--", name) : "";
}

// Where the cache keeps main's files of a model: refs/main names the folder under snapshots/. Empty if
// it does not know the model.
std::string cached_snapshot(const std::string& path) {
  const std::string name = hub_name(path);
  if (name.empty() || !is_folder(hub_cache() / name)) return "";
  const fs::path folder = hub_cache() / name;
  const std::string main = folder / "refs" / "main";
  std::string commit = path_exists(main) ? read_text_file(main) : "";
  commit.resize(std::min(commit.size(), commit.find_first_of(" \t\r\n")));
  const fs::path snapshot = folder / "snapshots" / commit;
  if (!commit.empty() && is_folder(snapshot)) return snapshot.string();
  throw FormatError({.place = path,
                     .problem = "in the Hugging Face cache, but not whole",
                     .found = {folder.string(), commit.empty() ? " without refs/main" : ""},
                     .expected = {"snapshots/", commit.empty() ? "COMMIT" : commit},
                     .advice = {"download it again: hf download ", path}});
}

}  // namespace

std::string model_folder(const std::string& path) {
  const fs::path folder(path);
  if (!path_exists(path)) {
    const std::string snapshot = cached_snapshot(path);
    return snapshot.empty() ? path : snapshot;
  }
  if (!is_folder(path) || path_exists(folder / "config.json")) return path;
  const fs::path latest = folder / "latest";
  if (is_folder(latest)) return latest.string();
  if (path_exists(folder / "run.toml")) {
    throw FormatError({.place = path,
                       .problem = "a run without a checkpoint",
                       .found = "run.toml",
                       .expected = "latest, a link to the newest checkpoint",
                       .advice = "let it train until its first, or give the folder of a model"});
  }
  return path;
}

void refuse_foreign_format(std::string_view file, const std::string& path,
                           std::string_view wanted) {
  for (const ForeignFormat& format : kForeign) {
    if (!file.starts_with(format.begins)) continue;
    throw FormatError(
        {.place = path, .problem = {format.name, ", not ", wanted}, .advice = format.advice});
  }
}

void refuse_foreign_file(const std::string& path, std::string_view wanted) {
  if (!is_regular_file(path)) return;  // a pipe would be waited for, and emptied
  std::array<char, 64> first{};
  Descriptor file = Descriptor::open(path, O_RDONLY);
  const int64_t got = file ? file.read(first.data(), first.size()) : -1;
  if (got < 0) refuse_to_read(path, "cannot be read", errno);
  refuse_foreign_format({first.data(), static_cast<size_t>(got)}, path, wanted);
}

UnreadWeights unread_weights(const std::string& folder) {
  std::vector<std::string> names;
  for (const std::string& name : entry_names(folder)) {
    if (holds_weights(name)) names.push_back(name);
  }
  if (names.empty()) return {};
  const std::string& first = names.front();
  const char* advice = first.ends_with(".gguf") ? kSourceOfGguf : kSaveAgain;
  if (first.ends_with(".safetensors")) advice = "download the index of its parts, too";
  if (is_demo_shard(first)) advice = kSourceOfDemo;
  return {names.size() == 1 ? first : concat(first, " and ", names.size() - 1, " more"), advice};
}

std::string model_identity(const std::string& folder) {
  BlockKey key;
  for (const std::string& name : entry_names(folder)) {
    if (name != "config.json" && !name.ends_with(".safetensors")) continue;
    const std::string path = folder + "/" + name;
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) refuse_io(path, "cannot be looked at", errno);
    key = chained_key(key, concat(name, " ", status.st_size, " ", status.st_mtim.tv_sec, ".",
                                  status.st_mtim.tv_nsec));
  }
  return key.hex();
}

}  // namespace hadal
