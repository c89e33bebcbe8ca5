#include "hadal/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "hadal/core/descriptor.h"
#include "hadal/core/error.h"

namespace hadal {

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer before we can refuse it.
  const Descriptor file = Descriptor::open(path, O_RDONLY | O_NONBLOCK);
  if (!file) refuse_to_read(path, "cannot be opened", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) refuse_to_read(path, "cannot be read", errno);
  if (!S_ISREG(status.st_mode)) {
    throw FormatError(concat(path, ": not a regular file (found ",
                             S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe",
                             ", expected a file)"));
  }
  std::shared_ptr<MappedFile> result(new MappedFile);
  result->path_ = path;
  result->size_ = static_cast<size_t>(status.st_size);
  if (result->size_ == 0) return result;
  void* memory = ::mmap(nullptr, result->size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (memory == MAP_FAILED) refuse_to_read(path, "cannot be mapped", errno);
  result->data_ = static_cast<const std::byte*>(memory);
  return result;
}

void MappedFile::expect(Reading reading) const {
  if (!data_) return;
  // Only advice: where the system does not take it, pages are read as ever.
  ::madvise(const_cast<std::byte*>(data_), size_,
            reading == Reading::kScattered ? MADV_RANDOM : MADV_NORMAL);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace hadal
