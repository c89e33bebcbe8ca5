// kernels/cuda_stream.h: a GPU as ops see it: kernels and copies that run one after the other, in the
// order in which they were given, and the memory they work in. Nobody waits for them but where
// synchronize() or a copy to the host says so.
#pragma once

#include <memory>

#include "hadal/tensor/memory.h"

namespace hadal::cuda {

class Stream {
 public:
  // Of the current device. Throws Unavailable where this build has no CUDA, or the machine no GPU.
  static std::unique_ptr<Stream> open();

  Stream() = default;
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Zeroing and copies from the host take their turn in the stream; a copy to the host waits for it.
  virtual Memory& memory() = 0;
  virtual void synchronize() = 0;  // throws what a kernel ran into
};

}  // namespace hadal::cuda
