// core/error.h: the one family of exceptions, and `require`.
//
// An error that a user can cause says what is wrong in fields, so that each edge of hadal prints it
// in its own words and nobody ever reads an error's text to decide something:
//
//   require(max_tokens <= context - n_prompt,
//           {.field = "max_tokens",
//            .problem = "the context is too short",
//            .found = {n_prompt, " tokens of prompt and ", max_tokens, " to write"},
//            .expected = {"at most ", context, " together"},
//            .advice = "shorten the prompt or lower {max_tokens}"});
//
// The library writes its own names: `max_tokens`, not an option of the command line. `field` is the
// setting that is wrong: a member (max_tokens), a key of a configuration (train.steps). What comes
// from somewhere else than the caller's hand says from where in `place`: a file, a folder, a line.
// Other settings stand in braces. The command line prints both as its options:
//
//   --max-tokens: the context is too short (found 10 tokens of prompt and 503 to write, expected at
//   most 512 together); shorten the prompt or lower --max-tokens
//
// what() is the same line in plain names; an answer in JSON takes `field` as it is.
#pragma once

#include <functional>
#include <initializer_list>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace hadal {

// concat("step ", 3) == "step 3"
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// One value, or several in braces, that become text only when somebody asks: a check that holds
// costs a few pointers. Refers to the values, so it lives no longer than the call it is written in.
class Words {
 public:
  struct Piece {
    template <class T>
    Piece(const T& referred)
        : value(&referred),
          write([](std::ostream& out, const void* any) { out << *static_cast<const T*>(any); }) {}
    const void* value;
    void (*write)(std::ostream&, const void*);
  };

  Words() : one_("") {}
  template <class T>
  Words(const T& value) : one_(value) {}
  Words(std::initializer_list<Piece> several) : one_(""), several_(several) {}
  std::string text() const;

 private:
  Piece one_;
  std::initializer_list<Piece> several_;
};

// What is written at the place of a check. `problem` and one of `place` and `field` are required.
struct Complaint {
  Words place = {};     // "run.toml: line 7", a folder, "{layout}" for a part of that setting
  Words field = {};     // "train.steps", "max_tokens"; after a place: a name of that place's own
  Words problem = {};   // "out of range"
  Words found = {};     // the user's value
  Words expected = {};  // "1 to 64"
  Words advice = {};    // what to do
};

// What an edge calls a setting of the library: "max_tokens" -> "--max-tokens".
using NameOf = std::function<std::string(const std::string& field)>;
std::string plain_name(const std::string& field);  // field itself
std::string in_braces(const std::string& field);   // leaves the choice to a later edge
// "lower {max_tokens}" -> "lower --max-tokens". Other braces, as JSON has them, stay.
std::string with_names(std::string_view text, const NameOf& name_of);

// A complaint that stays, every field made harmless to show (core/in_quotes.h), `found` also short:
// it is what a file or a user wrote.
struct Refusal {
  std::string place, field, problem, found, expected, advice;

  Refusal() = default;
  Refusal(const Complaint& complaint);
  bool empty() const { return problem.empty(); }  // nothing is wrong

  Refusal in(const std::string& outer) const;  // the same, found in a place

  // PLACE: FIELD: problem (found X, expected Y); advice. Names in braces are settings, except in
  // `found`, which is the user's text. A field after a place is printed as it is.
  std::string line(const NameOf& name_of = plain_name) const;
};

// A complaint, or only a text: then the fields are empty.
struct Error : std::runtime_error, Refusal {
  explicit Error(const std::string& text);
  explicit Error(const Refusal& why) : std::runtime_error(why.line()), Refusal(why) {}
  explicit Error(const Complaint& why) : Error(Refusal(why)) {}
  virtual int exit_code() const { return 1; }  // the work failed
  std::string line(const NameOf& name_of) const {
    return Refusal::empty() ? what() : Refusal::line(name_of);
  }
};
struct ConfigError : Error {  // wrong option or setting
  explicit ConfigError(const Refusal& why) : Error(why) {}
  explicit ConfigError(const Complaint& why) : Error(why) {}
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
struct Interrupted : Error {  // SIGINT, SIGTERM or SIGHUP, after everything was saved
  using Error::Error;
  int exit_code() const override { return 130; }
};

inline void require(bool holds, const Complaint& why) {
  if (!holds) throw ConfigError(why);
}

}  // namespace hadal
