#include "hadal/corpus/dependency_order.h"

#include <gtest/gtest.h>

#include "hadal/corpus/document_source.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

// The groups as text: "a.h b.cc | c.py".
std::string order_of(const std::map<std::string, std::string>& files) {
  std::vector<std::string> paths;
  for (const auto& [path, text] : files) paths.push_back(path);
  DependencyGraph graph(paths);
  for (size_t i = 0; i < paths.size(); ++i) graph.read(i, files.at(paths[i]));
  std::string result;
  for (const auto& group : graph.ordered()) {
    if (!result.empty()) result += " | ";
    for (size_t i = 0; i < group.size(); ++i) result += (i > 0 ? " " : "") + paths[group[i]];
  }
  return result;
}

TEST(DependencyOrder, AFileStandsBehindWhatItUses) {
  EXPECT_EQ(order_of({{"main.cc", "#include \"b.h\"\n  #  include <lib/c.h>\n#include <vector>\n"},
                      {"b.h", "#include \"lib/c.h\"\n"},
                      {"lib/c.h", "int c;\n"},
                      {"other.cc", "int main() {}\n"}}),
            "lib/c.h b.h main.cc | other.cc");
}

TEST(DependencyOrder, ByTheRulesOfEachLanguage) {
  EXPECT_EQ(order_of({{"a/run.py", "from . import zeta\nimport os\n"},
                      {"a/zeta.py", "from ..core.base import Base\n"},
                      {"core/base.py", "import pkg\n"},
                      {"pkg/__init__.py", ""}}),
            "pkg/__init__.py core/base.py a/zeta.py a/run.py");
  EXPECT_EQ(order_of({{"app.ts", "import { x } from './lib/x'\nimport y from 'react'\n"},
                      {"lib/x.ts", "const z = require(\"../z\")\n"},
                      {"z/index.js", ""},
                      {"react.ts", ""}}),
            "z/index.js lib/x.ts app.ts | react.ts");
  EXPECT_EQ(order_of({{"src/org/a/Main.java", "import org.b.Tool;\nimport static org.b.Two.x;\n"},
                      {"src/org/b/Tool.java", "import java.util.List;\n"},
                      {"src/org/b/Two.java", ""}}),
            "src/org/b/Tool.java src/org/b/Two.java src/org/a/Main.java");
  EXPECT_EQ(order_of({{"src/lib.rs", "pub mod net;\nmod tool;\n"},
                      {"src/net.rs", "mod tcp;\n"},
                      {"src/net/tcp.rs", ""},
                      {"src/tool/mod.rs", ""}}),
            "src/net/tcp.rs src/net.rs src/tool/mod.rs src/lib.rs");
}

TEST(DependencyOrder, OfACycleTheLeastDependentFirstThenByPath) {
  const std::map<std::string, std::string> files = {{"a.h", "#include \"b.h\"\n#include \"d.h\"\n"},
                                                    {"b.h", "#include \"c.h\"\n"},
                                                    {"c.h", "#include \"a.h\"\n#include \"c.h\"\n"},
                                                    {"d.h", "#include \"a.h\"\n"}};
  // b, c and d wait for one file each; b stands first. Behind it a waits for d alone.
  EXPECT_EQ(order_of(files), "b.h a.h c.h d.h");
}

TEST(DependencyOrder, WordsThatOnlyLookLikeImports) {
  EXPECT_EQ(
      order_of({{"a.py", "important = b\nfromage = 1\nimport\nfrom\nfrom .\n"}, {"b.py", ""}}),
      "a.py | b.py");
  EXPECT_EQ(
      order_of({{"a.cc", "#include\n#include \"\n#includes \"b.h\"\n#include \"../../b.h\"\n"},
                {"b.h", ""}}),
      "a.cc | b.h");
}

std::vector<std::string> texts_of(const std::vector<std::string>& paths, SourceOptions options) {
  std::vector<std::string> texts;
  const auto source = open_sources(list_source_files(paths), std::move(options));
  while (const auto document = source->next()) {
    texts.push_back(std::to_string(document->argument) + " " + document->text);
  }
  return texts;
}

TEST(Repositories, AreOneDocumentForWhatHangsTogether) {
  const TemporaryFolder folder;
  const std::string code = folder / "code", prose = folder / "prose.txt";
  folder.write("code/use.cc", "#include \"lib/base.h\"\nuse();");
  folder.write("code/lib/base.h", "base();\n");
  folder.write("code/alone.py", "alone()\n");
  folder.write("code/README.md", "Read me.\n");
  folder.write("code/data.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  folder.write("code/blank.h", " \n");
  folder.write("prose.txt", "prose\n");
  SourceOptions options;
  options.repositories = true;
  EXPECT_EQ(texts_of({prose, code}, options),
            (std::vector<std::string>{
                "0 prose\n", "1 one", "1 two", "1 Read me.\n", "1 # alone.py\nalone()\n",
                "1 // lib/base.h\nbase();\n// use.cc\n#include \"lib/base.h\"\nuse();\n"}));
  const auto source = open_sources(list_source_files({code}), options);
  std::vector<std::vector<size_t>> begins;
  while (const auto document = source->next()) begins.push_back(document->file_begins);
  EXPECT_EQ(begins, (std::vector<std::vector<size_t>>{{}, {}, {}, {}, {0, 22}}));
  options.max_document_bytes = 30;  // a group may take several documents, a file only one
  EXPECT_EQ(texts_of({code}, options).back(), "0 // use.cc\n#include \"lib/base.h\"\nuse();\n");
  options.max_document_bytes = SourceOptions{}.max_document_bytes;
  options.repositories = false;
  EXPECT_EQ(texts_of({prose, code}, options).size(), 7U);
}

}  // namespace
}  // namespace hadal
