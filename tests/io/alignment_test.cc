// A tensor of somebody else's file may begin at any byte; who reads its elements need not know.
#include <gtest/gtest.h>

#include <cstring>

#include "hadal/io/safetensors.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

TEST(Alignment, ElementsThatBeginAtAnOddByteAreCopiedToAnAlignedOne) {
  std::string header = R"({"one":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                       R"("two":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');  // the data begin at a multiple of 8
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  const float values[2] = {1.5F, -2.25F};
  file += header + '\1';
  file.append(reinterpret_cast<const char*>(values), sizeof values);
  const TemporaryFolder folder;
  const std::string path = folder.write("odd.safetensors", file);
  const SafetensorsFile read = SafetensorsFile::open(path);
  EXPECT_TRUE(read.is_aligned(*read.find("one")));
  EXPECT_FALSE(read.is_aligned(*read.find("two")));
  EXPECT_EQ(TensorSource::open(path).unaligned_bytes(), 8);
  const Tensor two = read.tensor(*read.find("two"));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(two.raw()) % alignof(float), 0U);
  EXPECT_EQ(std::memcmp(two.raw(), values, sizeof values), 0);
}

}  // namespace
}  // namespace hadal::test
