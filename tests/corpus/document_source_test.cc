#include "hadal/corpus/document_source.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/utf8.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

std::string gzip(const std::string& text) {
  z_stream state{};
  EXPECT_EQ(deflateInit2(&state, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&state, text.size()) + 64, '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&state, Z_FINISH), Z_STREAM_END);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<Document> read(const std::vector<std::string>& paths, const SourceOptions& options = {},
                           SourceCounts* counts = nullptr) {
  const auto source = open_sources(list_source_files(paths), options);
  std::vector<Document> documents;
  while (auto document = source->next()) documents.push_back(std::move(*document));
  if (counts) *counts = source->counts();
  return documents;
}

std::string error_of(const std::vector<std::string>& paths, const SourceOptions& options = {}) {
  try {
    read(paths, options);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

// Text that does not compress to nothing, so that an archive has many places to be cut at.
std::string varied_text(size_t bytes) {
  std::string text;
  for (uint32_t i = 0; text.size() < bytes; ++i) text += std::to_string(i * 2654435761U) + "\n";
  return text;
}

TEST(DocumentSource, FolderIsReadInByteOrderOfPathsWithoutHiddenFiles) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "b/c");
  std::filesystem::create_directories(folder / ".git");
  folder.write("b/c/2.py", "two");
  folder.write("a.txt", "one");
  folder.write("b/z.md", "three");
  folder.write("B.txt", "upper case first");
  folder.write(".git/config", "hidden");
  folder.write("b/.swp", "hidden");
  folder.write("empty.txt", "");
  SourceCounts counts;
  const auto documents = read({folder.path()}, {}, &counts);
  std::vector<std::string> texts;
  for (const Document& document : documents) texts.push_back(document.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"upper case first", "one", "two", "three"}));
  EXPECT_EQ(counts.files, 5);
  EXPECT_EQ(counts.empty_documents, 1);
}

TEST(DocumentSource, PatternsAndRepeatedArgumentsNameEachFileOnce) {
  const TemporaryFolder folder;
  folder.write("1.txt", "a");
  folder.write("2.txt", "b");
  folder.write("3.md", "c");
  EXPECT_EQ(read({folder / "*.txt"}).size(), 2u);
  EXPECT_EQ(read({folder / "*.txt", folder / "1.txt", folder.path() + "/./2.txt"}).size(), 2u);
  test::expect_refused<ConfigError>([&] { list_source_files({folder / "*.nothing"}); },
                                    "*.nothing: no file found");
  test::expect_refused<ConfigError>([&] { list_source_files({}); }, "data: no path given");
  // A file whose name looks like a pattern is itself.
  folder.write("[x].txt", "odd name");
  EXPECT_EQ(read({folder / "[x].txt"}).at(0).text, "odd name");
}

TEST(DocumentSource, ArchivesAreKnownByTheirBytesAndMayHaveManyMembers) {
  const TemporaryFolder folder;
  folder.write("a.txt.gz", gzip("first ") + gzip("second"));
  folder.write("b.zst", zstd("third ") + zstd("fourth"));
  folder.write("c.txt", gzip("named as text"));
  folder.write("d.gz", "plain text in spite of its name");
  folder.write("e.html.gz", gzip("<p>a <b>page</b></p>"));
  const auto documents = read({folder.path()});
  ASSERT_EQ(documents.size(), 5u);
  EXPECT_EQ(documents[0].text, "first second");
  EXPECT_EQ(documents[1].text, "third fourth");
  EXPECT_EQ(documents[2].text, "named as text");
  EXPECT_EQ(documents[3].text, "plain text in spite of its name");
  EXPECT_EQ(documents[4].text, "a page\n");
}

TEST(DocumentSource, ArchivesCutAtEveryPlaceAreRefusedByName) {
  const TemporaryFolder folder;
  const std::string text = varied_text(3000);
  for (const std::string& whole : {gzip(text), zstd(text)}) {
    // Shorter than the magic number it is no archive, and mostly no text either.
    for (size_t kept = 4; kept < whole.size(); ++kept) {
      const std::string path = folder.write("cut", whole.substr(0, kept));
      const std::string error = error_of({path});
      ASSERT_NE(error.find("cut short"), std::string::npos) << kept << ": " << error;
      ASSERT_EQ(error.find(path), 0u);
    }
    EXPECT_EQ(error_of({folder.write("whole", whole)}), "");
  }
}

TEST(DocumentSource, DamagedArchivesNeverGiveOtherText) {
  const TemporaryFolder folder;
  const std::string text = varied_text(2000);
  std::string whole = gzip(text);
  int refused = 0;
  for (size_t at = 10; at < whole.size(); at += 3) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const std::string path = folder.write("damaged", damaged);
    // gzip carries a checksum: whatever is not refused must be the text itself.
    const std::string error = error_of({path});
    if (error.empty()) {
      EXPECT_EQ(read({path}).at(0).text, text) << at;
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(DocumentSource, DecompressionBombsStopAtTheLimit) {
  const TemporaryFolder folder;
  SourceOptions options;
  options.max_document_bytes = 1 << 20;
  const std::string zeros(size_t{64} << 20, 'a');
  for (const std::string& bomb : {zstd(zeros), gzip(zeros)}) {
    ASSERT_LT(bomb.size(), size_t{100} << 10);
    const std::string error = error_of({folder.write("bomb.txt", bomb)}, options);
    EXPECT_NE(error.find("max_document_bytes"), std::string::npos) << error;
    EXPECT_NE(error_of({folder.write("bomb.jsonl", bomb)}, options), "");
  }
}

// Also far below the size of any buffer.
TEST(DocumentSource, TheLimitOfADocumentIsExact) {
  const TemporaryFolder folder;
  const std::string line = R"({"text": "twelve bytes"})";
  const std::vector<std::pair<std::string, std::string>> files = {
      {"a.txt", "twelve bytes"},
      {"a.txt.gz", gzip("twelve bytes")},
      {"a.jsonl", line + "\n" + line}};
  for (const auto& [name, bytes] : files) {
    const std::string path = folder.write(name, bytes);
    SourceOptions options;
    options.max_document_bytes = static_cast<int64_t>(name == "a.jsonl" ? line.size() : 12);
    EXPECT_EQ(error_of({path}, options), "") << name;
    --options.max_document_bytes;
    EXPECT_NE(error_of({path}, options).find("too long"), std::string::npos) << name;
  }
}

TEST(DocumentSource, BinaryFilesAreCountedAndInvalidTextIsRepaired) {
  const TemporaryFolder folder;
  folder.write("a.bin", std::string("\x7F"
                                    "ELF\0\0",
                                    6));
  folder.write("b.pdf", "%PDF-1.4 and so on");
  folder.write("c.txt", "caf\xE9 \xF0\x9F\x98");
  folder.write("d.txt", "\xEF\xBB\xBFmarked");
  SourceCounts counts;
  const auto documents = read({folder.path()}, {}, &counts);
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[0].text, "caf\uFFFD \uFFFD");
  EXPECT_EQ(documents[1].text, "marked");
  EXPECT_EQ(counts.binary_files, 2);
}

TEST(DocumentSource, JsonLinesGiveOneDocumentALine) {
  const TemporaryFolder folder;
  const std::string lines =
      "{\"text\":\"one\",\"id\":1}\n\n{\"text\":\"\"}\r\n{\"text\":\"t\\u00e9\"}";
  for (const std::string& path :
       {folder.write("a.jsonl", lines), folder.write("b.jsonl.gz", gzip(lines)),
        folder.write("c.jsonl.zst", zstd(lines))}) {
    SourceCounts counts;
    const auto documents = read({path}, {}, &counts);
    ASSERT_EQ(documents.size(), 2u) << path;
    EXPECT_EQ(documents[0].text, "one");
    EXPECT_EQ(documents[1].text, "té");
    EXPECT_EQ(documents[1].name, path + ":4");
    EXPECT_EQ(counts.files, 1);
    EXPECT_EQ(counts.empty_documents, 1);
  }
  SourceOptions options;
  options.text_field = "body";
  EXPECT_EQ(read({folder.write("d.jsonl", "{\"body\":\"x\"}")}, options).at(0).text, "x");
}

TEST(DocumentSource, BrokenJsonLinesAreNamedWithTheirLine) {
  const TemporaryFolder folder;
  for (const char* bad : {"{\"text\":\"ok\"}\n{\"text\":", "{\"text\":\"ok\"}\n[1]",
                          "{\"text\":\"ok\"}\n{\"text\":3}", "{\"text\":\"ok\"}\n{\"other\":\"x\"}",
                          "{\"text\":\"ok\"}\nnonsense"}) {
    const std::string path = folder.write("bad.jsonl", bad);
    const std::string error = error_of({path});
    EXPECT_EQ(error.find(path + ": line 2"), 0u) << bad << " -> " << error;
  }
}

TEST(Utf8, EveryMaximalSubpartBecomesOneReplacement) {
  // The examples of the Unicode standard, section 3.9, tables 3-8 to 3-11.
  EXPECT_EQ(repair_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(repair_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(repair_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFDA");
  for (const uint32_t code : {0x24U, 0xA2U, 0x20ACU, 0x10348U, 0x10FFFFU}) {
    std::string character;
    append_utf8(character, code);
    EXPECT_TRUE(valid_utf8(character));
    for (size_t kept = 1; kept < character.size(); ++kept) {
      EXPECT_EQ(repair_utf8(character.substr(0, kept)), "\uFFFD");
    }
  }
}

std::string remarks_of(const std::vector<std::string>& paths, const SourceOptions& options = {}) {
  SourceCounts counts;
  read(paths, options, &counts);
  std::string all;
  for (const std::string& line : counts.remarks.lines()) all += line + "\n";
  return all;
}

TEST(DocumentSource, WhatIsNotUtf8IsSaidWithFileAndLine) {
  const TemporaryFolder folder;
  const std::string a = folder.write("a.txt", "one\ntwo caf\xE9 \xE9");
  EXPECT_EQ(remarks_of({a}), "not UTF-8: " + a +
                                 " line 2; 2 places became U+FFFD; name the "
                                 "encoding to convert the text\n");
  const std::string b = folder.write("b.html.gz", gzip("<p>\x93quoted\x94</p>"));
  EXPECT_NE(remarks_of({b}).find(b + " line 1; 2 places"), std::string::npos);
  for (int i = 0; i < 1000; ++i) folder.write("c" + std::to_string(i) + ".md", "\xE9");
  const std::string many = remarks_of({folder.path()});
  EXPECT_LT(many.size(), 1000u);
  EXPECT_NE(many.find(" and 999 more; 1004 places"), std::string::npos) << many;
  EXPECT_EQ(remarks_of({folder.write("d.txt", "caf\u00e9")}), "");
}

TEST(DocumentSource, JsonLinesThatAreNotUtf8AreRefused) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.jsonl", "{\"text\":\"ok\"}\n{\"text\":\"caf\xE9\"}");
  EXPECT_EQ(error_of({path}).find(path + ": line 2: not UTF-8 (found \"\\xe9\" at byte 13"), 0u)
      << error_of({path});
  SourceOptions options;
  options.encoding = "Latin-1";
  EXPECT_EQ(read({path}, options).at(1).text, "caf\u00e9");
}

TEST(DocumentSource, ANamedEncodingIsConverted) {
  const TemporaryFolder folder;
  const std::string raw = "caf\xE9 \x93q\x94";
  SourceOptions options;
  options.encoding = "cp1252";
  for (const std::string& path : {folder.write("a.txt", raw), folder.write("b.md", raw),
                                  folder.write("c.txt.gz", gzip(raw))}) {
    EXPECT_EQ(read({path}, options).at(0).text, "caf\u00e9 \u201cq\u201d") << path;
    EXPECT_EQ(remarks_of({path}, options), "");
  }
  // CP1252 has no 81: said, as invalid UTF-8 is.
  const std::string hole = folder.write("d.txt", "a\x81z");
  EXPECT_EQ(read({hole}, options).at(0).text, "a\uFFFDz");
  EXPECT_NE(remarks_of({hole}, options), "");
  // A format that is no text stays none, whatever its mark would read as.
  const std::string array = folder.write("h.npy", "\x93NUMPY and so on");
  EXPECT_EQ(remarks_of({array}, options), "skipped 1 file without text: " + array + " (NumPy)\n");
  options.encoding = "utf-16";
  const std::string wide = folder.write("e.txt", std::string("\xFF\xFE"
                                                             "a\0\xE9\0",
                                                             6));
  EXPECT_EQ(read({wide}, options).at(0).text, "a\u00e9");
  // Characters across the reader's buffers; a last one that is cut.
  options.encoding = "utf-16le";
  std::string units, text;
  for (int i = 0; i < 100'000; ++i) {
    units += std::string("\x3D\xD8\x00\xDE", 4);
    text += "\U0001F600";
  }
  EXPECT_EQ(read({folder.write("f.txt", "x" + std::string(1, '\0') + units)}, options).at(0).text,
            "x" + text);
  EXPECT_EQ(read({folder.write("g.txt", units.substr(0, 6))}, options).at(0).text,
            "\U0001F600\uFFFD\uFFFD");
  SourceOptions no_bytes;
  no_bytes.max_document_bytes = -1;
  test::expect_refused<ConfigError>([&] { read({hole}, no_bytes); },
                                    "max_document_bytes: out of range");
  for (const char* name : {"klingon", "latin-1//IGNORE", "\x1b"}) {
    options.encoding = name;
    test::expect_refused<ConfigError>([&] { read({hole}, options); },
                                      "encoding: no such encoding (found " + in_quotes(name));
  }
}

TEST(DocumentSource, SkippedFilesAndOddArchivesAreNamed) {
  const TemporaryFolder folder;
  folder.write("a.txt", std::string("\xFF\xFE"
                                    "a\0",
                                    4));
  folder.write("b.parquet", "PAR1\x15 and so on");
  folder.write("c.npy", "\x93NUMPY and so on");
  folder.write("d.bin", std::string("\1\0\2\0", 4));
  EXPECT_EQ(remarks_of({folder.path()}), "skipped 4 files without text: " + (folder / "a.txt") +
                                             " (UTF-16), " + (folder / "b.parquet") +
                                             " (Parquet), " + (folder / "c.npy") +
                                             " (NumPy) and 1 more\n");
  const TemporaryFolder archives;
  archives.write("a.txt.gz", gzip(""));
  archives.write("b.jsonl.zst", zstd(""));
  archives.write("c.gz", "");
  archives.write("d.gz", "plain");
  archives.write("e.txt.gz", gzip("whole"));
  const std::string said = remarks_of({archives.path()});
  EXPECT_EQ(said, "archives: " + (archives / "a.txt.gz") + " (empty), " +
                      (archives / "b.jsonl.zst") + " (empty), " + (archives / "c.gz") +
                      " (empty) and 1 more\n");
  EXPECT_EQ(remarks_of({archives / "d.gz"}),
            "archives: " + (archives / "d.gz") + " (not compressed, read as it stands)\n");
}

TEST(DocumentSource, BlanksAreNoDocument) {
  const TemporaryFolder folder;
  folder.write("a.txt", " \n\t\r\n");
  folder.write("b.jsonl", "{\"text\":\"  \"}\n{\"text\":\"x\"}");
  folder.write("c.html", "<p> </p>");
  SourceCounts counts;
  EXPECT_EQ(read({folder.path()}, {}, &counts).size(), 1u);
  EXPECT_EQ(counts.empty_documents, 3);
}

}  // namespace
}  // namespace hadal
