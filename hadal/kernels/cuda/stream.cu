#include "hadal/kernels/cuda/stream.h"

#include <algorithm>

#include "hadal/core/checked_math.h"
#include "hadal/kernels/cuda_devices.h"

namespace hadal::cuda {
namespace {

constexpr int64_t kHalfBytes = int64_t{8} << 20;
constexpr int64_t kAlignment = 256;

}  // namespace

StreamHandle::StreamHandle() {
  if (devices().empty()) throw Unavailable("cuda: this machine has no GPU");
  check(cudaStreamCreateWithFlags(&value_, cudaStreamNonBlocking), "creating a stream");
}

UploadRing::~UploadRing() {
  for (const Half& half : halves_) {
    if (half.left) cudaEventDestroy(half.left);
    cudaFreeHost(half.host);
    cudaFree(half.device);
  }
}

void UploadRing::resize(Half& half, int64_t bytes) {
  check(cudaFreeHost(half.host), "releasing an upload buffer");
  check(cudaFree(half.device), "releasing an upload buffer");
  half.host = half.device = nullptr;
  half.capacity = 0;
  void* host = nullptr;
  void* device = nullptr;
  check(cudaMallocHost(&host, static_cast<size_t>(bytes)), "locked memory for uploads");
  half.host = static_cast<std::byte*>(host);
  check(cudaMalloc(&device, static_cast<size_t>(bytes)), "memory for uploads");
  half.device = static_cast<std::byte*>(device);
  half.capacity = bytes;
  if (!half.left) {
    check(cudaEventCreateWithFlags(&half.left, cudaEventDisableTiming), "creating an event");
  }
}

const void* UploadRing::upload(const void* from, int64_t bytes) {
  const int64_t room = round_up(std::max<int64_t>(bytes, 1), kAlignment);
  if (halves_[current_].used + room > halves_[current_].capacity) {
    Half& full = halves_[current_];
    if (full.left) check(cudaEventRecord(full.left, stream_), "recording an event");
    current_ ^= 1;
    Half& next = halves_[current_];
    if (next.left) check(cudaEventSynchronize(next.left), "waiting for uploads");
    next.used = 0;
    if (next.capacity < room) resize(next, std::max(room, kHalfBytes));
  }
  Half& half = halves_[current_];
  std::byte* host = half.host + half.used;
  std::byte* device = half.device + half.used;
  half.used += room;
  if (bytes == 0) return device;
  std::memcpy(host, from, static_cast<size_t>(bytes));
  check(cudaMemcpyAsync(device, host, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_),
        "upload");
  return device;
}

void* DeviceMemory::allocate(int64_t bytes) {
  void* block = nullptr;
  const cudaError_t error = cudaMalloc(&block, static_cast<size_t>(bytes));
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // the next call shall not find it again
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for free memory");
    throw Unavailable(
        Complaint{.place = "GPU",
                  .problem = "out of memory",
                  .found = {bytes, " bytes asked for"},
                  .expected = {"at most ", free, " of its ", total, " bytes"},
                  .advice = "take a smaller batch or model, or end what else runs there"});
  }
  check(error, "allocation");
  return block;
}

void DeviceMemory::zero(void* to, int64_t bytes) {
  check(cudaMemsetAsync(to, 0, static_cast<size_t>(bytes), stream_), "zeroing");
}

void DeviceMemory::copy(void* to, const void* from, int64_t bytes) {
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, stream_), "copy");
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, to), "asking for a pointer");
  if (attributes.type != cudaMemoryTypeDevice) {
    check(cudaStreamSynchronize(stream_), "copy to the host");
  }
}

std::unique_ptr<Stream> Stream::open() { return std::make_unique<OwnStream>(); }

}  // namespace hadal::cuda
