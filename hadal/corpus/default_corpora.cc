#include "hadal/corpus/default_corpora.h"

#include "hadal/core/error.h"

namespace hadal {
namespace {

// Pages that list other pages, and what is there twice.
const CorpusPackage kPostgres = {"postgresql-doc", {".html"}, {"/bookindex.html"}};
const CorpusPackage kPython = {
    "python3-doc",
    {".html"},
    {"/genindex", "/py-modindex.html", "/search.html", "/contents.html", "/_sources/"}};
const CorpusPackage kPerl = {"perl-doc", {".pod", ".3perl"}, {"/perltoc.pod", "/perluniprops.pod"}};
const CorpusPackage kSqlite = {
    "sqlite3-doc",
    {".html"},
    {"/keyword_index.html", "/doc_keyword_crossref.html", "/doc_backlink_crossref.html",
     "/doc_target_crossref.html", "/capi3ref.html", "/doclist.html", "/toc.html", "/hlr",
     "/sysreq.html", "/search.html", "/matrix/", "/requirements.html", "/sitemap.html"}};
const CorpusPackage kLinux = {
    "linux-doc",
    {".html"},
    {"/genindex", "/search.html", "/_sources/", "/translations/", "/index.html"}};
const CorpusPackage kDjango = {"python-django-doc",
                               {".html"},
                               {"/genindex", "/py-modindex.html", "/search.html", "/contents.html",
                                "/_sources/", "/_modules/"}};
const CorpusPackage kGit = {"git-doc", {".html"}, {}};
const CorpusPackage kManpages = {"manpages", {".1", ".2", ".3", ".4", ".5", ".6", ".7", ".8"}, {}};
const CorpusPackage kManpagesDev = {
    "manpages-dev", {".1", ".2", ".3", ".4", ".5", ".6", ".7", ".8"}, {}};

}  // namespace

const std::vector<DefaultCorpus>& default_corpora() {
  static const std::vector<DefaultCorpus> corpora = {
      {"tiny", "the PostgreSQL manual", "PostgreSQL", {kPostgres}},
      {"debian-docs",
       "manuals of PostgreSQL, Python, Perl and SQLite",
       "PostgreSQL, PSF, Perl (Artistic or GPL), public domain",
       {kPostgres, kPython, kPerl, kSqlite}},
      {"large",
       "debian-docs and the manuals of Linux, Django and Git, and the manual pages",
       "mixed free licences",
       {kPostgres, kPython, kPerl, kSqlite, kLinux, kDjango, kGit, kManpages}},
      {"manpages",
       "manual pages of Linux: out of the domain of debian-docs",
       "mixed free licences",
       {kManpages, kManpagesDev}},
      {"code-go",
       "the Go standard library and tools",
       "BSD",
       {{"golang-src", {".go"}, {"_test.go"}}}},
      {"code-python",
       "the Python standard library and SymPy",
       "PSF, BSD",
       {{"libpython3-stdlib", {".py"}, {}}, {"python3-sympy", {".py"}, {}}}},
      {"zh",
       "Chinese manual pages and the Debian reference",
       "mixed free licences",
       {{"manpages-zh", {".1", ".2", ".3", ".4", ".5", ".6", ".7", ".8"}, {}},
        {"debian-reference-zh-cn", {".html"}, {"/index.zh-cn.html"}}}},
  };
  return corpora;
}

const DefaultCorpus& find_default_corpus(const std::string& name) {
  std::string names;
  for (const DefaultCorpus& corpus : default_corpora()) {
    if (corpus.name == name) return corpus;
    names += (names.empty() ? "" : ", ") + corpus.name;
  }
  throw ConfigError({.place = "data fetch",
                     .problem = "no default corpus of that name",
                     .found = name,
                     .expected = {"one of ", names},
                     .advice = "for your own text name its path"});
}

}  // namespace hadal
