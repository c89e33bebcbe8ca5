// An arena of a memory that the host may not touch: its pages are locked but while zero and copy run,
// so that any other access ends the test.
#include "hadal/tensor/memory.h"

#include <gmock/gmock.h>
#include <sys/mman.h>

#include <cstring>
#include <map>

#include "hadal/core/checked_math.h"
#include "hadal/tensor/tensor.h"

namespace hadal {
namespace {

class LockedMemory final : public Memory {
 public:
  bool on_host() const override { return false; }
  void* allocate(int64_t bytes) override {
    const size_t size = static_cast<size_t>(round_up(bytes, 4096));
    void* block = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) throw std::bad_alloc();
    sizes_[block] = size;
    return block;
  }
  void release(void* block) noexcept override {
    munmap(block, sizes_[block]);
    sizes_.erase(block);
  }
  void zero(void* to, int64_t bytes) override {
    lock(PROT_READ | PROT_WRITE);
    std::memset(to, 0, static_cast<size_t>(bytes));
    lock(PROT_NONE);
  }
  void copy(void* to, const void* from, int64_t bytes) override {
    lock(PROT_READ | PROT_WRITE);
    std::memcpy(to, from, static_cast<size_t>(bytes));
    lock(PROT_NONE);
  }
  size_t blocks() const { return sizes_.size(); }

 private:
  void lock(int access) {
    for (const auto& [block, size] : sizes_) mprotect(block, size, access);
  }
  std::map<void*, size_t> sizes_;
};

std::vector<float> values(const Tensor& x) {
  const auto flat = x.flat<float>();
  return {flat.begin(), flat.end()};
}

TEST(Memory, TensorsOfADeviceAreMadeCopiedAndDroppedWithoutTheHostsHand) {
  LockedMemory memory;
  {
    Arena device(memory), host;
    EXPECT_EQ(&device.memory(), &memory);
    EXPECT_EQ(&host.memory(), &host_memory());
    Tensor on_host = Tensor::zeros(host, DType::kF32, {2, 3});
    for (int i = 0; i < 6; ++i)
      on_host.flat<float>()[static_cast<size_t>(i)] = static_cast<float>(i);
    const Tensor there = on_host.clone(device);
    EXPECT_FALSE(there.on_host());
    EXPECT_TRUE(on_host.on_host());
    EXPECT_FALSE(there.reshaped({3, 2}).on_host());
    EXPECT_FALSE(there.share().on_host());
    const Tensor beside = there.clone(device), back = beside.clone(host);
    EXPECT_TRUE(back.on_host());
    EXPECT_THAT(values(back), testing::ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_THAT(values(Tensor::zeros(device, DType::kF32, {2}).clone(host)),
                testing::ElementsAre(0, 0));
    Tensor moved = there.share();
    const Tensor taken = std::move(moved);
    EXPECT_FALSE(taken.on_host());
  }
  EXPECT_EQ(memory.blocks(), 0U);
}

}  // namespace
}  // namespace hadal
