// What is held out hangs on the documents and not on where they lie.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "hadal/corpus/corpus.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

std::set<std::string> held_out(std::vector<SourceFile> files, const CorpusOptions& options) {
  std::set<std::string> texts;
  Corpus::scan(std::move(files), options)
      .for_each(Split::kValidation,
                [&](const Document& document, const ContentHash&) { texts.insert(document.text); });
  return texts;
}

TEST(HeldOut, TheOrderOfTheFilesChoosesNoDocument) {
  const test::TemporaryFolder folder;
  for (int i = 0; i < 60; ++i) {
    folder.write(std::to_string(i) + ".txt", "the document with number " + std::to_string(i));
  }
  const std::vector<SourceFile> files = list_source_files({folder.path()});
  std::vector<SourceFile> backwards = files;
  std::reverse(backwards.begin(), backwards.end());
  CorpusOptions capped, few;
  capped.validation_fraction = 0.5;
  capped.max_validation_bytes = 100;  // some of those that the hashes choose
  few.validation_fraction = 1e-9;     // none of them: the smallest hash is held out
  for (const CorpusOptions& options : {capped, few}) {
    EXPECT_EQ(held_out(backwards, options), held_out(files, options));
    EXPECT_FALSE(held_out(files, options).empty());
  }
}

}  // namespace
}  // namespace hadal
