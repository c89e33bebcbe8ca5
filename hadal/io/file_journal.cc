#include "hadal/io/file_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/manifest.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

constexpr const char* kJournalName = "journal.jsonl";

std::string line_of(const std::string& folder, const std::string& file) {
  Json entry = file_checksum(folder + "/" + file);
  entry["file"] = file;
  return entry.dump();
}

// The lines of a text that are whole: the last may have been cut off.
std::vector<std::string> whole_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    lines.push_back(text.substr(begin, end - begin));
  }
  return lines;
}

// The file of a line whose checksum the file still has; "" if it is gone, changed or unreadable.
std::string still_done(const std::string& folder, const std::string& line) {
  try {
    const std::string file = parse_json(line, "journal").at("file").as_string();
    return line_of(folder, file) == line ? file : "";
  } catch (const FormatError&) {
    return "";
  }
}

}  // namespace

const char* FileJournal::name() { return kJournalName; }

FileJournal::FileJournal(const std::string& path, const std::string& key)
    : folder_(path), path_(path + "/" + kJournalName) {
  make_folders(folder_);
  file_ = Descriptor::open(path_, O_RDWR | O_CREAT | O_APPEND, 0666);
  if (!file_) refuse_io(path_, "cannot be created", errno);
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) refuse_io(path_, "cannot be locked", errno);
    throw ConfigError({.place = folder_,
                       .problem = "another process is writing there",
                       .found = "a held lock",
                       .advice = "wait for it or choose another destination"});
  }
  const std::vector<std::string> lines = whole_lines(read_text_file(path_));
  if (!lines.empty() && lines.front() == key) {
    for (size_t i = 1; i < lines.size(); ++i) {
      if (const std::string file = still_done(folder_, lines[i]); !file.empty()) {
        done_[file] = lines[i];
      }
    }
  }
  for (const std::string& other : entry_names(folder_)) {
    if (other != kJournalName && !done_.contains(other)) remove_file(folder_ + "/" + other);
  }
  // Written anew: a line that was cut off must not stand before the next one.
  if (::ftruncate(file_.get(), 0) != 0) refuse_io(path_, "cannot be written", errno);
  append(key);
  for (const auto& [file, line] : done_) append(line);
}

void FileJournal::append(const std::string& line) {
  const std::string text = line + "\n";
  if (!file_.write(text.data(), text.size())) refuse_io(path_, "cannot be written", errno);
  if (!file_.sync()) refuse_io(path_, "cannot be written", errno);
}

void FileJournal::add(const std::string& file) {
  const std::string line = line_of(folder_, file);
  append(line);
  done_[file] = line;
}

}  // namespace hadal
