// corpus/git_text.h: a git repository as text to train on: the files of its last commit, and its commits.
//
//   OUT/files/...       tracked text files; since the commit of the last call, only those that changed
//   OUT/commits.jsonl   message and patch of every commit since then
//   OUT/held_out.jsonl  functions that are in neither: name, prompt (the file up to the body), text
//   OUT/state.json      the commit that the folder goes up to
//
// The repository is cloned (git clone --shared), never changed; what is not committed is not read. A
// function is held out by a hash of its path and name, so it stays so from call to call, whatever else
// changes. Commits whose patch holds a line of one give their message alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

struct GitTextOptions {
  double held_out_share = 0.05;                // of the functions; if there are any, at least one
  int64_t max_patch_bytes = int64_t{1} << 16;  // a longer patch gives its message alone
  // Files that are left out, as git's pathspecs have them ("*.svg", "vendor"), in patches too; commits that
  // change nothing else are left out whole.
  std::vector<std::string> without = {};
};

struct GitText {
  std::string commit, since;  // since: of the call before; "" for the first
  int64_t files = 0, bytes = 0;
  int64_t commits = 0, patches = 0;
  int64_t functions = 0, held_out = 0;
};

// Writes `folder` as a whole in place of what it held. Unavailable without git; FormatError if
// `repository` is none, or git does not understand a pathspec.
GitText write_git_text(const std::string& repository, const std::string& folder,
                       const GitTextOptions& options = {});

}  // namespace hadal
