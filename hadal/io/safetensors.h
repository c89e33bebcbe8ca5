// io/safetensors.h: reading (mapped) and writing of .safetensors (docs/formats.md).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hadal/io/atomic_write.h"
#include "hadal/io/mapped_file.h"
#include "hadal/io/safetensors_header.h"
#include "hadal/tensor/tensor.h"

namespace hadal {

// One file: every rule of the format is checked before anything is returned (FormatError).
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::string& path);
  const std::string& path() const { return file_->path(); }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // by offset
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorInfo* find(const std::string& name) const;
  // Borrowed from the mapping; a copy where the file does not align the elements (the format does
  // not promise it).
  Tensor tensor(const TensorInfo& info) const;
  bool is_aligned(const TensorInfo& info) const;
  int64_t bytes() const { return static_cast<int64_t>(file_->bytes().size()); }
  std::span<const std::byte> mapped() const { return file_->bytes(); }
  void expect(MappedFile::Reading reading) const { file_->expect(reading); }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::vector<TensorInfo> tensors_;
  std::vector<size_t> by_name_;
  std::map<std::string, std::string> metadata_;
  const std::byte* data(const TensorInfo& info) const;
  int64_t data_offset_ = 0;
};

// One file or a sharded checkpoint (folder with model.safetensors.index.json or model.safetensors;
// a run's folder stands for its newest).
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
  int64_t unaligned_bytes() const;  // of tensors that tensor() copies
  const std::string& path() const { return path_; }
  const std::vector<std::unique_ptr<SafetensorsFile>>& files() const { return files_; }

 private:
  void add_all(const SafetensorsFile& file);
  void add_mapped(const std::string& index_path);
  std::string path_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Entry> entries_;
};

// The weight_map of model.safetensors.index.json, checked: tensor name -> file name without
// folders.
std::map<std::string, std::string> parse_index(std::string_view text, const std::string& source);

// Writes one file tensor by tensor, in any order, so that only one needs to be in memory. In the
// file wide element types come first, so that every tensor is aligned, otherwise the order given
// here.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, std::vector<TensorInfo> tensors,
                    const std::map<std::string, std::string>& metadata = {});
  void write(const std::string& name, const Tensor& tensor);  // REQUIRES declared, and only once
  void finish();  // REQUIRES every tensor written; all is on the disk under a temporary name
  void commit();  // finish(), then the file appears

 private:
  AtomicFile file_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t> unwritten_;  // index in tensors_
  int64_t data_offset_ = 0;
};

// Writes atomically, laid out as by SafetensorsWriter.
void write_safetensors(const std::string& path,
                       const std::vector<std::pair<std::string, const Tensor*>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace hadal
