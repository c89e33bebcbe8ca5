#include "hadal/corpus/byte_stream.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

// Its last block decodes to more than a reader takes at once, from bytes that are all read by then.
TEST(ByteStream, ALastBlockLargerThanTheBufferIsReadToItsEnd) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 6000; ++i) text += "the same line again\n";
  std::string archive(ZSTD_compressBound(text.size()), '\0');
  archive.resize(ZSTD_compress(archive.data(), archive.size(), text.data(), text.size(), 3));
  ASSERT_LT(archive.size(), text.size() / 100);
  const auto stream = open_byte_stream(folder.write("text.zst", archive));
  std::string read(text.size() + 1, '\0');
  size_t size = 0;
  while (const size_t got = stream->read(read.data() + size, 1000)) size += got;
  read.resize(size);
  EXPECT_EQ(read, text);
}

TEST(ByteStream, ADocumentMayHaveTheSizeOfTheLimitAndNoByteMore) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.txt", "twelve bytes");
  std::string text;
  append_rest(*open_byte_stream(path), path, 12, text);
  EXPECT_EQ(text, "twelve bytes");
  text.clear();
  test::expect_refused<FormatError>([&] { append_rest(*open_byte_stream(path), path, 11, text); },
                                    path + ": one document is too long");
}

TEST(LineReader, ALineMayHaveTheSizeOfTheLimitAndNoByteMore) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.txt", "twelve bytes\nof one line\r\nlast");
  LineReader lines(open_byte_stream(path), path, 12);
  std::string line;
  for (const char* expected : {"twelve bytes", "of one line", "last"}) {
    ASSERT_TRUE(lines.next(line));
    EXPECT_EQ(line, expected);
  }
  EXPECT_FALSE(lines.next(line));
  EXPECT_EQ(lines.line_number(), 3);
  LineReader shorter(open_byte_stream(path), path, 11);
  test::expect_refused<FormatError>([&] { shorter.next(line); }, path + ": line 1: too long");
}

}  // namespace
}  // namespace hadal
