// core/error.h: the one family of exceptions, and `require`.
//
// The text of every error a user can cause has one form, printed by main as one line:
//   FILE-OR-OPTION: what is wrong (found X, expected Y); what to do
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace hadal {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
  virtual int exit_code() const { return 1; }  // the work failed
};
struct ConfigError : Error {  // wrong option or setting
  using Error::Error;
  int exit_code() const override { return 2; }
};
struct FormatError : Error {  // invalid input file
  using Error::Error;
  int exit_code() const override { return 2; }
};
struct ShapeError : Error {  // a caller inside hadal handed over wrong extents
  using Error::Error;
};
struct IoError : Error {  // the system refused: full disk, unwritable folder
  using Error::Error;
};
struct Unavailable : Error {  // this build or machine lacks what was asked for
  using Error::Error;
};
struct Interrupted : Error {  // SIGINT or SIGTERM, after everything was saved
  using Error::Error;
  int exit_code() const override { return 130; }
};

// concat("step ", 3) == "step 3"
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Throws ConfigError with the concatenated parts unless `holds`.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) throw ConfigError(concat(parts...));
}

}  // namespace hadal
