// core/descriptor.h: an open file of the system, closed with its owner. What a signal cut short, and
// writes that took only a part, go on until they are whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace hadal {

class Descriptor {
 public:
  Descriptor() = default;  // none
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  // As open(2), O_CLOEXEC always. None on failure: errno says why, as after every false or -1 below.
  static Descriptor open(const std::string& path, int flags, unsigned mode = 0);
  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }

  int64_t read(void* data, size_t bytes);  // fewer only at the end of the file
  bool write(const void* data, size_t bytes);
  bool sync();
  bool close();

 private:
  int fd_ = -1;
};

// Does this errno say that a path names nothing? Every other one says that the system could not look
// (a failing disk, a folder one may not enter), which must not be taken for absence.
bool means_absent(int reason);

// FormatError where the path is wrong (absent, a folder), else IoError: "PATH: what (reason); advice".
[[noreturn]] void refuse_to_read(const std::string& path, const char* what, int reason);

}  // namespace hadal
