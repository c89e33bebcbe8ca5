#include "hadal/io/model_files.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "hadal/core/error.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSaveAgain =
    "convert it: save_pretrained of Hugging Face's transformers writes safetensors";
constexpr const char* kSourceOfGguf =
    "hadal reads folders with config.json and safetensors; give the one it was made from";

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
  std::error_code error;
  if (name.empty() || !fs::is_directory(hub_cache() / name, error)) return "";
  const fs::path folder = hub_cache() / name;
  std::string commit;
  std::ifstream(folder / "refs" / "main") >> commit;
  const fs::path snapshot = folder / "snapshots" / commit;
  if (!commit.empty() && fs::is_directory(snapshot, error)) return snapshot.string();
  throw FormatError({.place = path,
                     .problem = "in the Hugging Face cache, but not whole",
                     .found = {folder.string(), commit.empty() ? " without refs/main" : ""},
                     .expected = {"snapshots/", commit.empty() ? "COMMIT" : commit},
                     .advice = {"download it again: hf download ", path}});
}

}  // namespace

std::string model_folder(const std::string& path) {
  std::error_code error;
  const fs::path folder(path);
  if (!fs::exists(folder, error)) {
    const std::string snapshot = cached_snapshot(path);
    return snapshot.empty() ? path : snapshot;
  }
  if (!fs::is_directory(folder, error) || fs::exists(folder / "config.json", error)) return path;
  const fs::path latest = folder / "latest";
  if (fs::is_directory(latest, error)) return latest.string();
  if (fs::exists(folder / "run.toml", error)) {
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
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return;  // a pipe would be waited for, and emptied
  std::array<char, 64> first{};
  std::ifstream file(path, std::ios::binary);
  file.read(first.data(), first.size());
  refuse_foreign_format({first.data(), static_cast<size_t>(file.gcount())}, path, wanted);
}

UnreadWeights unread_weights(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (holds_weights(name)) names.push_back(name);
  }
  if (names.empty()) return {};
  std::sort(names.begin(), names.end());
  const std::string& first = names.front();
  const char* advice = first.ends_with(".gguf") ? kSourceOfGguf : kSaveAgain;
  if (first.ends_with(".safetensors")) advice = "download the index of its parts, too";
  return {names.size() == 1 ? first : concat(first, " and ", names.size() - 1, " more"), advice};
}

}  // namespace hadal
