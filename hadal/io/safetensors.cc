#include "hadal/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"
#include "hadal/core/log.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kSingleName = "model.safetensors";
// DeepSeek-V3's index has 9 MB; a tree of the parsed text costs at most some fifty times as much.
constexpr int64_t kMaxIndexBytes = int64_t{64} << 20;

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  SafetensorsFile result;
  result.file_ = MappedFile::open(path);
  const auto bytes = result.file_->bytes();
  SafetensorsHeader header =
      parse_safetensors({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
  result.tensors_ = std::move(header.tensors);
  result.metadata_ = std::move(header.metadata);
  result.data_offset_ = header.data_offset;
  result.by_name_.resize(result.tensors_.size());
  std::iota(result.by_name_.begin(), result.by_name_.end(), size_t{0});
  std::sort(result.by_name_.begin(), result.by_name_.end(),
            [&](size_t a, size_t b) { return result.tensors_[a].name < result.tensors_[b].name; });
  return result;
}

const TensorInfo* SafetensorsFile::find(const std::string& name) const {
  const auto found = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](size_t i, const std::string& wanted) { return tensors_[i].name < wanted; });
  if (found == by_name_.end() || tensors_[*found].name != name) return nullptr;
  return &tensors_[*found];
}

const std::byte* SafetensorsFile::data(const TensorInfo& info) const {
  return file_->bytes().data() + data_offset_ + info.begin;
}

bool SafetensorsFile::is_aligned(const TensorInfo& info) const {
  return reinterpret_cast<uintptr_t>(data(info)) %
             static_cast<uintptr_t>(dtype_bytes(info.dtype)) ==
         0;
}

Tensor SafetensorsFile::tensor(const TensorInfo& info) const {
  if (is_aligned(info)) return Tensor::borrowed(info.dtype, info.shape, data(info), file_);
  const size_t bytes = static_cast<size_t>(info.end - info.begin);
  const std::shared_ptr<std::byte[]> copy(new std::byte[std::max<size_t>(bytes, 1)]);
  if (bytes > 0) std::memcpy(copy.get(), data(info), bytes);
  return Tensor::borrowed(info.dtype, info.shape, copy.get(), copy);
}

int64_t TensorSource::unaligned_bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, entry] : entries_) {
    if (!entry.file->is_aligned(*entry.info)) bytes += entry.info->end - entry.info->begin;
  }
  return bytes;
}

std::map<std::string, std::string> parse_index(std::string_view text, const std::string& source) {
  const Json json = parse_json(text, source);
  const Json* weight_map = json.find("weight_map");
  if (!weight_map || !weight_map->is_object() || weight_map->as_object().empty()) {
    throw FormatError(concat(source, ": weight_map is missing or empty (found ",
                             weight_map ? weight_map->type_name() : "nothing",
                             ", expected an object of tensor: file); download the index again"));
  }
  std::map<std::string, std::string> result;
  for (const auto& [name, file] : weight_map->as_object()) {
    if (!file.is_string()) {
      throw FormatError(concat(source, ": weight_map ", in_quotes(name), " is no file name (found ",
                               file.type_name(), ", expected a string)"));
    }
    const std::string& value = file.as_string();
    // A checkpoint must not reach outside of its own folder.
    if (value.empty() || value.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos ||
        value == "." || value == "..") {
      throw FormatError(concat(source, ": weight_map ", in_quotes(name), " names ",
                               in_quotes(value), ", expected a file of the same folder"));
    }
    result.emplace(name, value);
  }
  return result;
}

void TensorSource::add_all(const SafetensorsFile& file) {
  for (const TensorInfo& info : file.tensors()) entries_[info.name] = {&file, &info};
}

void TensorSource::add_mapped(const std::string& index_path) {
  const auto weight_map = parse_index(read_text_file(index_path, kMaxIndexBytes), index_path);
  const std::filesystem::path folder = std::filesystem::path(index_path).parent_path();
  std::map<std::string, const SafetensorsFile*> opened;
  std::map<const SafetensorsFile*, size_t> n_used;
  for (const auto& [name, file_name] : weight_map) {
    const SafetensorsFile*& file = opened[file_name];
    if (!file) {
      files_.push_back(
          std::make_unique<SafetensorsFile>(SafetensorsFile::open((folder / file_name).string())));
      file = files_.back().get();
    }
    const TensorInfo* info = file->find(name);
    if (!info) {
      throw FormatError(concat(index_path, ": tensor ", in_quotes(name),
                               " is not in its file (expected in ", file_name,
                               "); index and shards belong to different checkpoints"));
    }
    entries_[name] = {file, info};
    ++n_used[file];
  }
  for (const auto& file : files_) {
    const size_t n_extra = file->tensors().size() - n_used[file.get()];
    if (n_extra > 0) {
      log_warning(file->path(), ": ", n_extra, " tensors are not in ", kIndexName,
                  " and are ignored");
    }
  }
}

TensorSource TensorSource::open(const std::string& given) {
  namespace fs = std::filesystem;
  const std::string path = model_folder(given);
  TensorSource result;
  result.path_ = path;
  if (is_folder(path)) {
    const fs::path folder(path);
    if (path_exists(folder / kIndexName)) {
      result.add_mapped((folder / kIndexName).string());
      return result;
    }
    if (!path_exists(folder / kSingleName)) {
      const UnreadWeights unread = unread_weights(path);
      const bool none = unread.found.empty();
      throw FormatError(
          {.place = path,
           .problem = none ? "no weights in this folder" : "no weights that hadal reads",
           .found = unread.found,
           .expected = {kSingleName, " or ", kIndexName},
           .advice = none ? "give the folder of a Hugging Face checkpoint" : unread.advice});
    }
    result.files_.push_back(
        std::make_unique<SafetensorsFile>(SafetensorsFile::open((folder / kSingleName).string())));
  } else if (fs::path(path).extension() == ".json") {
    result.add_mapped(path);
    return result;
  } else {
    result.files_.push_back(std::make_unique<SafetensorsFile>(SafetensorsFile::open(path)));
  }
  result.add_all(*result.files_.back());
  return result;
}

const TensorSource::Entry* TensorSource::find(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<TensorInfo> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path), tensors_(std::move(tensors)) {
  std::stable_sort(tensors_.begin(), tensors_.end(), [](const auto& a, const auto& b) {
    return dtype_bytes(a.dtype) > dtype_bytes(b.dtype);
  });
  const std::string header = safetensors_header_text(tensors_, metadata);
  data_offset_ = static_cast<int64_t>(header.size());
  int64_t offset = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    tensors_[i].begin = offset;
    offset += stored_bytes(tensors_[i]);
    tensors_[i].end = offset;
    if (!unwritten_.emplace(tensors_[i].name, i).second) {
      throw ShapeError(concat("safetensors writer: ", tensors_[i].name, " is declared twice"));
    }
  }
  file_.write(header);
}

void SafetensorsWriter::write(const std::string& name, const Tensor& tensor) {
  const auto found = unwritten_.find(name);
  if (found == unwritten_.end()) {
    throw ShapeError(concat("safetensors writer: ", name, " is not declared or written twice"));
  }
  const TensorInfo& info = tensors_[found->second];
  if (info.dtype != tensor.dtype() || info.shape != tensor.shape()) {
    throw ShapeError(concat("safetensors writer: ", name, " is not what was declared"));
  }
  unwritten_.erase(found);
  file_.seek(data_offset_ + info.begin);
  const Tensor here = tensor.to_host();
  file_.write(here.raw(), static_cast<size_t>(info.end - info.begin));
}

void SafetensorsWriter::finish() {
  if (!unwritten_.empty()) {
    throw ShapeError(concat("safetensors writer: ", unwritten_.begin()->first, " was not written"));
  }
  file_.finish();
}

void SafetensorsWriter::commit() {
  finish();
  file_.commit();
}

void write_safetensors(const std::string& path,
                       const std::vector<std::pair<std::string, const Tensor*>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorInfo> infos;
  for (const auto& [name, tensor] : tensors) {
    infos.push_back({.name = name, .dtype = tensor->dtype(), .shape = tensor->shape()});
  }
  SafetensorsWriter writer(path, std::move(infos), metadata);
  for (const auto& [name, tensor] : tensors) writer.write(name, *tensor);
  writer.commit();
}

}  // namespace hadal
