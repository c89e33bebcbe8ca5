#include "hadal/io/append_file.h"

#include <fcntl.h>

#include <cerrno>

#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {

AppendFile::AppendFile(const std::string& path)
    : path_(path), file_(Descriptor::open(path, O_WRONLY | O_CREAT | O_APPEND, 0666)) {
  if (!file_) refuse_io(path, "cannot be opened", errno);
}

void AppendFile::write(std::string_view text) {
  if (!file_.write(text.data(), text.size())) refuse_io(path_, "cannot be written", errno);
}

void AppendFile::sync() {
  if (!file_.sync()) refuse_io(path_, "cannot be written", errno);
  sync_folder(folder_of(path_));
}

}  // namespace hadal
