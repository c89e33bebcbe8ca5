#include "hadal/io/read_ahead.h"

#include <gtest/gtest.h>

#include "hadal/io/mapped_file.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

TEST(ReadAheadTest, WhatWasReadIsThere) {
  TemporaryFolder folder;
  const auto file = MappedFile::open(folder.write("weights", std::string(3'000'001, 'x')));
  const auto all = file->bytes();
  read_ahead(all.subspan(1'000'003, 500'009));  // neither end on a page
  read_ahead(all);
  EXPECT_EQ(resident_share(all), 1.0);
  EXPECT_EQ(resident_share(all.subspan(12'345, 1)), 1.0);
}

TEST(ReadAheadTest, NothingIsThereAlready) {
  read_ahead({});
  EXPECT_EQ(resident_share({}), 1.0);
}

}  // namespace
}  // namespace hadal::test
