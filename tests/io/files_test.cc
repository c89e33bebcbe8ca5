// io/mapped_file, io/atomic_write, io/atomic_folder: what happens to files when all goes well, and when it does not.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "hadal/core/error.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/manifest.h"
#include "hadal/io/mapped_file.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(MappedFileTest, GivesTheBytesOfTheFile) {
  const TemporaryFolder folder;
  const auto file = MappedFile::open(folder.write("a", std::string_view("x\0y", 3)));
  EXPECT_EQ(text_of(*file), std::string_view("x\0y", 3));
}

TEST(MappedFileTest, AnEmptyFileIsEmpty) {
  const TemporaryFolder folder;
  EXPECT_TRUE(MappedFile::open(folder.write("a", ""))->bytes().empty());
}

TEST(MappedFileTest, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  const std::pair<std::string, const char*> table[] = {
      {folder / "absent", "cannot be opened ("},
      {folder.path(), "not a regular file (found a folder"},
      {"/dev/zero", "not a regular file (found a device or pipe"},
      {folder / "pipe", "not a regular file (found a device or pipe"}};  // waits for no writer
  for (const auto& [path, problem] : table) {
    expect_refused<FormatError>([&file = path] { MappedFile::open(file); },
                                concat(path, ": ", problem));
  }
}

TEST(AtomicFileTest, AppearsWholeAtCommit) {
  const TemporaryFolder folder;
  folder.write("a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new ");
    file.write("text");
    EXPECT_EQ(read_bytes(folder / "a"), "old");
    file.commit();
  }
  EXPECT_EQ(read_bytes(folder / "a"), "new text");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});
}

TEST(AtomicFileTest, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  folder.write("a", "old");
  { AtomicFile(folder / "a").write("half"); }
  EXPECT_EQ(read_bytes(folder / "a"), "old");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});
}

TEST(AtomicFileTest, TwoWritersDoNotMeet) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "a"), second(folder / "a");
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  EXPECT_EQ(read_bytes(folder / "a"), "first");
}

// RLIMIT_FSIZE stands for a disk that is full in the middle of a write.
TEST(AtomicFileTest, AFullDiskKeepsTheOldFileAndSaysWhy) {
  const TemporaryFolder folder;
  folder.write("a", "old");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message;
  try {
    write_file_atomically(folder / "a", std::string(1 << 20, 'x'));
  } catch (const IoError& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(message.starts_with((folder / "a") + ": cannot be written (")) << message;
  EXPECT_EQ(read_bytes(folder / "a"), "old");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});
}

TEST(AtomicFileTest, AFullDeviceIsAnErrorAndStaysADevice) {
  expect_refused<IoError>([] { write_file_atomically("/dev/full", "text"); },
                          "/dev/full: cannot be written (No space left");
  struct stat status {};
  ASSERT_EQ(stat("/dev/full", &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode));
}

TEST(AtomicFileTest, RefusesAFolderAndAMissingParent) {
  const TemporaryFolder folder;
  const std::pair<std::string, const char*> table[] = {
      {folder.path(), "cannot be written (Is a directory"},
      {folder / "absent/a", "cannot be created (No such file"},
      {"/proc/hadal", "cannot be created ("}};  // not writable, not even for root
  for (const auto& [path, problem] : table) {
    expect_refused<IoError>([&file = path] { AtomicFile open(file); }, concat(path, ": ", problem));
  }
}

TEST(MakeFoldersTest, MakesParentsAndRefusesAFileInTheWay) {
  const TemporaryFolder folder;
  make_folders(folder / "a/b/c");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});
  make_folders(folder / "a/b/c");
  folder.write("file", "");
  for (const std::string& in_the_way : {folder / "file", std::string("/proc/hadal")}) {
    expect_refused<IoError>([&] { make_folders(in_the_way + "/b"); },
                            in_the_way + ": folder cannot be created (");
  }
}

TEST(RemoveAbandonedTest, TakesOnlyWhatIsOursAndWhoseWriterIsGone) {
  const TemporaryFolder folder;
  for (const char* name :
       {"a.json.tmp-2000000000-0", "a.json.partial-2000000000", "b.json.tmp-2000000000-0",
        "a.json.tmp-2000000000", "a.json.tmp-2000000000-x", "a.json.partial-2000000000-1",
        "a.json.partial-1", "a.json.partial-replaced", "a.json.tmp-"}) {
    folder.write(name, "");
  }
  remove_abandoned(folder.path(), [](const std::string& name) { return name == "a.json"; });
  EXPECT_EQ(folder.names(), (std::vector<std::string>{
                                "a.json.partial-1", "a.json.partial-2000000000-1",
                                "a.json.partial-replaced", "a.json.tmp-", "a.json.tmp-2000000000",
                                "a.json.tmp-2000000000-x", "b.json.tmp-2000000000-0"}));
}

TEST(ManifestTest, FindsEveryKindOfDamage) {
  const TemporaryFolder folder;
  folder.write("a", "some bytes");
  folder.write("b", "more bytes");
  write_manifest(folder.path());
  EXPECT_EQ(find_damage(folder.path()), "");
  folder.write("a", "same bytes");
  EXPECT_NE(find_damage(folder.path()), "");
  folder.write("a", "some byte");
  EXPECT_NE(find_damage(folder.path()), "");
  folder.write("a", "some bytes");
  EXPECT_EQ(find_damage(folder.path()), "");
  unlink((folder / "b").c_str());
  EXPECT_NE(find_damage(folder.path()), "");
}

}  // namespace
}  // namespace hadal::test
