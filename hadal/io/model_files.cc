#include "hadal/io/model_files.h"

#include <algorithm>
#include <array>
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

}  // namespace

std::string model_folder(const std::string& path) {
  std::error_code error;
  const fs::path folder(path);
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
