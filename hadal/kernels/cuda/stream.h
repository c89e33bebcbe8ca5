// kernels/cuda/stream.h: the Stream behind kernels/cuda_stream.h, as kernels' entry points use it.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "hadal/kernels/cuda/check.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/tensor.h"

namespace hadal::cuda {

// Host values on their way to a kernel: a ring of two halves, each a locked buffer and its copy on the
// card. A half is written again when the card is done with what was sent from it.
class UploadRing {
 public:
  explicit UploadRing(cudaStream_t stream) : stream_(stream) {}
  ~UploadRing();
  UploadRing(const UploadRing&) = delete;
  UploadRing& operator=(const UploadRing&) = delete;

  // Where the values will lie on the card for kernels given to the stream before the next uploads of
  // 8 MiB together.
  const void* upload(const void* from, int64_t bytes);

 private:
  struct Half {
    std::byte *host = nullptr, *device = nullptr;
    int64_t capacity = 0, used = 0;
    cudaEvent_t left = nullptr;  // recorded when the other half took over
  };
  void resize(Half& half, int64_t bytes);

  cudaStream_t stream_;
  std::array<Half, 2> halves_;
  size_t current_ = 0;
};

class DeviceMemory final : public Memory {
 public:
  explicit DeviceMemory(cudaStream_t stream) : stream_(stream) {}
  bool on_host() const override { return false; }
  void* allocate(int64_t bytes) override;
  void release(void* block) noexcept override { cudaFree(block); }
  void zero(void* to, int64_t bytes) override;
  void copy(void* to, const void* from, int64_t bytes) override;

 private:
  cudaStream_t stream_;
};

class StreamHandle {
 public:
  StreamHandle();
  ~StreamHandle() { cudaStreamDestroy(value_); }
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;
  cudaStream_t get() const { return value_; }

 private:
  cudaStream_t value_ = nullptr;
};

class OwnStream final : public Stream {
 public:
  OwnStream() : memory_(handle_.get()), scratch_(memory_), ring_(handle_.get()) {}
  ~OwnStream() override { cudaStreamSynchronize(handle_.get()); }
  Memory& memory() override { return memory_; }
  void synchronize() override {
    check(cudaStreamSynchronize(handle_.get()), "waiting for the GPU");
  }

  cudaStream_t handle() const { return handle_.get(); }
  // Working memory of one entry point: a Tensor of it may end before the kernels that use it do, since
  // whatever takes the block next runs behind them.
  Arena& scratch() { return scratch_; }
  template <class T>
  const T* upload(std::span<const T> values) {
    return static_cast<const T*>(
        ring_.upload(values.data(), static_cast<int64_t>(values.size_bytes())));
  }
  // Waits for the stream.
  template <class T>
  void download(std::span<T> to, const T* from) {
    memory_.copy(to.data(), from, static_cast<int64_t>(to.size_bytes()));
  }

 private:
  StreamHandle handle_;
  DeviceMemory memory_;
  Arena scratch_;
  UploadRing ring_;
};

inline OwnStream& own(Stream& stream) { return static_cast<OwnStream&>(stream); }

}  // namespace hadal::cuda
