// cuda/device_array.h: memory on the card for a test. Filled with 0xFF where nothing is copied: codes, floats
// and BF16 are NaN then, so what a kernel does not write is seen.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

#include "hadal/kernels/cuda/check.h"

namespace hadal::test {

inline bool has_card() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(int64_t n) : n_(n) {
    cuda::check(cudaMalloc(&data_, bytes() + 1), "allocation");
    poison();
  }
  explicit DeviceArray(std::span<const T> values) : DeviceArray(std::ssize(values)) {
    cuda::check(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice), "copy");
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(std::span<const T>(values)) {}
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  void poison() { cuda::check(cudaMemset(data_, 0xFF, bytes()), "poisoning"); }
  T* data() const { return static_cast<T*>(data_); }
  std::vector<T> host() const {  // waits for the kernels before it
    std::vector<T> values(static_cast<size_t>(n_));
    cuda::check(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost), "copy");
    return values;
  }

 private:
  size_t bytes() const { return static_cast<size_t>(n_) * sizeof(T); }
  int64_t n_;
  void* data_ = nullptr;
};

}  // namespace hadal::test
