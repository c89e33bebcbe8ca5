// train/state_tensors.h: the tensors of a training state on the disk, whole or in pieces.
//
//   training_state.safetensors                       written by one rank: every tensor whole
//   training_state-00001-of-00004.safetensors ...    one file of each rank: the rows that it owns,
//                                                    "m.NAME[128:256]" for rows 128 to 255 of m.NAME
//
// Who reads need not be spread as who wrote was: any rows of a tensor can be asked for, wherever they lie.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "hadal/io/safetensors.h"

namespace hadal {

std::string state_file_name(int rank, int n_ranks);
// The name of rows [first, last) of a tensor of `n_rows`: the tensor's own where that is all of it.
std::string piece_name(const std::string& name, int64_t first, int64_t last, int64_t n_rows);

class StateTensors {
 public:
  // FormatError if a file is malformed or one of several is missing.
  explicit StateTensors(const std::string& folder);

  size_t n_tensors() const { return pieces_.size(); }
  // into = rows [first, first + into.dim(0)) of the tensor, which has the shape `whole` and the dtype of
  // `into`. FormatError where the state does not hold them in this form.
  void read(const std::string& name, Tensor& into, int64_t first, const Shape& whole) const;
  void read(const std::string& name, Tensor& into) const { read(name, into, 0, into.shape()); }

 private:
  struct Piece {
    int64_t first = 0, last = 0;
    const SafetensorsFile* file = nullptr;
    const TensorInfo* info = nullptr;
  };
  [[noreturn]] void refuse(const std::string& name, const Tensor& wanted, const Shape& whole) const;
  std::string folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::vector<Piece>> pieces_;  // by first row
};

}  // namespace hadal
