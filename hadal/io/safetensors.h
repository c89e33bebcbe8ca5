// io/safetensors.h: reading (mapped) and writing of .safetensors, spec 02 section 2.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hadal/io/mapped_file.h"
#include "hadal/tensor/tensor.h"

namespace hadal {

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  Tensor::Shape shape;
  int64_t begin = 0, end = 0;  // within the data buffer
};

// One file: every rule of the format is checked before anything is returned (FormatError).
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::string& path);
  const std::string& path() const { return file_->path(); }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // by offset
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorInfo* find(const std::string& name) const;
  Tensor tensor(const TensorInfo& info) const;  // borrowed from the mapping

 private:
  std::shared_ptr<const MappedFile> file_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
  int64_t data_offset_ = 0;
};

// One file or a sharded checkpoint (folder with model.safetensors.index.json or model.safetensors).
class TensorSource {
 public:
  static TensorSource open(const std::string& path);
  struct Entry {
    const SafetensorsFile* file;
    const TensorInfo* info;
  };
  const Entry* find(const std::string& name) const;
  const std::map<std::string, Entry>& entries() const { return entries_; }
  Tensor tensor(const Entry& entry) const { return entry.file->tensor(*entry.info); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Entry> entries_;
};

// Writes atomically, tensors in the given order, header padded so that data starts at a multiple of 8.
void write_safetensors(const std::string& path,
                       const std::vector<std::pair<std::string, const Tensor*>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace hadal
