// io/file_journal.h: which files of a long work are done. A work that was cut off goes on where it
// stopped: what the journal lists and what still has its checksum is not made again.
#pragma once

#include <map>
#include <string>

#include "hadal/core/descriptor.h"

namespace hadal {

class FileJournal {
 public:
  // The journal of the folder `path`, which is made if it is not there. `key` says what is being made, in
  // one line: a folder that holds anything else is emptied, and what is not done, or no longer whole, is
  // removed. ConfigError while another process works there; IoError.
  FileJournal(const std::string& path, const std::string& key);

  const std::string& folder() const { return folder_; }
  static const char* name();  // of the journal itself, within the folder
  bool has(const std::string& file) const { return done_.contains(file); }
  // REQUIRES the file complete on the disk under its name.
  void add(const std::string& file);

 private:
  void append(const std::string& line);
  std::string folder_, path_;
  Descriptor file_;
  std::map<std::string, std::string> done_;  // file -> its line
};

}  // namespace hadal
