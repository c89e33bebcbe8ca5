// tests/support/temporary_folder.h: a fresh folder that goes away with its owner, and files in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal::test {

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file of exactly these bytes and returns its path.
  std::string write(const std::string& name, std::string_view bytes) const;
  std::vector<std::string> names() const;  // of what lies in it, sorted

 private:
  std::string path_;
};

// A copy of a folder (files only) that a test may damage.
void copy_files(const std::string& from, const std::string& to);
std::string read_bytes(const std::string& path);

}  // namespace hadal::test
