#include "hadal/corpus/corpus.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

std::string text_number(int i) { return "document number " + std::to_string(i) + " says hello\n"; }

void write_documents(const TemporaryFolder& folder, int from, int to) {
  for (int i = from; i < to; ++i) folder.write(std::to_string(i) + ".txt", text_number(i));
}

std::set<std::string> texts_of(const Corpus& corpus, Split split) {
  std::set<std::string> texts;
  corpus.for_each(
      split, [&](const Document& document, const ContentHash&) { texts.insert(document.text); });
  return texts;
}

Corpus scan(const TemporaryFolder& folder, const CorpusOptions& options = {}) {
  return Corpus::scan(list_source_files({folder.path()}), options);
}

TEST(Corpus, DuplicatesAreEqualUpToWhiteSpace) {
  const TemporaryFolder folder;
  folder.write("a.txt", "one two\nthree\n");
  folder.write("b.txt", "  one  two three");
  folder.write("c.txt", "one two\r\n\r\nthree");
  folder.write("d.txt", "onetwo three");
  CorpusOptions options;
  options.validation_fraction = 0.0;
  const Corpus corpus = scan(folder, options);
  EXPECT_EQ(corpus.counts().documents, 2);
  EXPECT_EQ(corpus.counts().duplicates, 2);
  EXPECT_EQ(texts_of(corpus, Split::kTrain),
            (std::set<std::string>{"one two\nthree\n", "onetwo three"}));
  options.dedup = false;
  EXPECT_EQ(scan(folder, options).counts().train_documents, 4);
}

TEST(Corpus, AddingDocumentsMovesNoneAcrossTheSplit) {
  const TemporaryFolder folder;
  CorpusOptions options;
  options.validation_fraction = 0.1;
  write_documents(folder, 0, 300);
  const Corpus before = scan(folder, options);
  write_documents(folder, 300, 600);
  const Corpus after = scan(folder, options);
  for (const Split split : {Split::kTrain, Split::kValidation}) {
    const auto old_texts = texts_of(before, split), new_texts = texts_of(after, split);
    EXPECT_LT(old_texts.size(), new_texts.size());
    for (const std::string& text : old_texts) EXPECT_TRUE(new_texts.count(text)) << text;
  }
  // 30 +- 5.2 expected; 4 standard deviations.
  EXPECT_NEAR(static_cast<double>(before.counts().validation_documents), 30.0, 21.0);
}

TEST(Corpus, CapHoldsBackButNeverTrainsOnHeldOutText) {
  const TemporaryFolder folder;
  write_documents(folder, 0, 400);
  CorpusOptions options;
  options.validation_fraction = 0.2;
  const Corpus all = scan(folder, options);
  options.max_validation_bytes = 10 * 32;
  const Corpus capped = scan(folder, options);
  EXPECT_LE(capped.counts().validation_bytes, options.max_validation_bytes);
  EXPECT_GE(capped.counts().validation_documents, 9);
  EXPECT_EQ(texts_of(capped, Split::kTrain), texts_of(all, Split::kTrain));
  EXPECT_EQ(capped.counts().validation_documents + capped.counts().held_back_documents,
            all.counts().validation_documents);
}

TEST(Corpus, FewDocumentsStillGiveTextToScore) {
  const TemporaryFolder folder;
  write_documents(folder, 0, 2);
  CorpusOptions options;
  options.validation_fraction = 1e-9;
  const Corpus two = scan(folder, options);
  EXPECT_EQ(two.counts().train_documents, 1);
  EXPECT_EQ(two.counts().validation_documents, 1);
  options.validation_fraction = 0.999999;
  EXPECT_EQ(scan(folder, options).counts().train_documents, 1);
}

TEST(Corpus, OneDocumentGivesItsTail) {
  const TemporaryFolder folder;
  std::string book;
  for (int i = 0; i < 1000; ++i) book += text_number(i);
  folder.write("book.txt", book);
  CorpusOptions options;
  options.validation_fraction = 0.1;
  const Corpus corpus = scan(folder, options);
  const std::string train = *texts_of(corpus, Split::kTrain).begin();
  const std::string tail = *texts_of(corpus, Split::kValidation).begin();
  EXPECT_EQ(train + tail, book);
  EXPECT_TRUE(train.ends_with('\n'));
  EXPECT_NEAR(static_cast<double>(tail.size()), 0.1 * static_cast<double>(book.size()), 100.0);
  EXPECT_EQ(corpus.counts().train_bytes, static_cast<int64_t>(train.size()));
  EXPECT_EQ(corpus.counts().validation_bytes, static_cast<int64_t>(tail.size()));
}

TEST(Corpus, LongHeldOutDocumentIsScoredUpToTheCap) {
  const TemporaryFolder folder;
  folder.write("a.txt", std::string(5000, 'a'));
  folder.write("b.txt", std::string(5000, 'b'));
  CorpusOptions options;
  options.max_validation_bytes = 1000;
  const Corpus corpus = scan(folder, options);
  EXPECT_EQ(texts_of(corpus, Split::kValidation).begin()->size(), 1000u);
  EXPECT_EQ(corpus.counts().validation_bytes, 1000);
}

TEST(Corpus, FileThatChangesAfterTheScanIsAnError) {
  const TemporaryFolder folder;
  write_documents(folder, 0, 5);
  const Corpus corpus = scan(folder);
  folder.write("3.txt", "something else");
  test::expect_refused<FormatError>([&] { texts_of(corpus, Split::kTrain); },
                                    "3.txt: changed while it was being read");
  std::filesystem::remove(folder / "4.txt");
  folder.write("3.txt", text_number(3));
  test::expect_refused<FormatError>([&] { texts_of(corpus, Split::kTrain); },
                                    "4.txt: cannot be opened");
}

}  // namespace
}  // namespace hadal
