// io/safetensors_header.h: the JSON header of a .safetensors file, read event by event: a hostile
// header of 100 MB costs a few times its size and about a second, whatever it holds.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/tensor/tensor.h"

namespace hadal {

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  Tensor::Shape shape;
  int64_t begin = 0, end = 0;  // within the data buffer
};

int64_t stored_bytes(const TensorInfo& info);  // of its elements; REQUIRES no overflow

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;              // by offset; they tile the data buffer exactly
  std::map<std::string, std::string> metadata;  // __metadata__
  int64_t data_offset = 0;                      // of the data buffer in the file
};

inline constexpr int64_t kMaxSafetensorsHeader = 100'000'000;  // bytes; the format's own limit

// `file` is the whole file. FormatError, with `source` as the file's name, unless every rule of
// docs/formats.md, "safetensors", holds.
SafetensorsHeader parse_safetensors(std::string_view file, const std::string& source);

// The other direction: the 8 length bytes and the header, padded with spaces so that data starts at
// a multiple of 8. Offsets are assigned in the order given (begin and end are ignored).
std::string safetensors_header_text(const std::vector<TensorInfo>& tensors,
                                    const std::map<std::string, std::string>& metadata);

}  // namespace hadal
