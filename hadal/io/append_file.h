// io/append_file.h: a file that grows while a program runs, as its log does. IoError names the path
// and the system's reason.
#pragma once

#include <string>
#include <string_view>

#include "hadal/core/descriptor.h"

namespace hadal {

class AppendFile {
 public:
  explicit AppendFile(const std::string& path);  // made if it is not there
  // Handed to the system at once: a process that dies later loses none of it, a power cut may.
  void write(std::string_view text);
  void sync();  // all of it, and the file's name, is on the disk
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Descriptor file_;
};

}  // namespace hadal
