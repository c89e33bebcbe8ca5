// corpus/fetch_corpus.cc: apt-get download, dpkg-deb -x, extraction.
//
//   CACHE/data/NAME/debs/       packages, until the corpus is complete
//   CACHE/data/NAME/unpacked/   their files, likewise
//   CACHE/data/NAME/text/       the documents; renamed from text.partial when they are all there
//   CACHE/data/NAME/fetched.json  what was fetched; its presence means that text/ is complete
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/json.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/corpus/content_hash.h"
#include "hadal/corpus/default_corpora.h"
#include "hadal/corpus/run_program.h"
#include "hadal/corpus/source_file.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

// Counted up when the selection or cleaning changes, so that an older corpus is made again.
constexpr int64_t kCleaningVersion = 3;
constexpr size_t kShortestDocument = 200;  // bytes; shorter pages are stubs and redirections

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of("\n");
  if (end == std::string::npos) return "no message";
  const size_t begin = text.find_last_of('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin + 1) + 1);
}

// Debian's file names: NAME_VERSION_ARCHITECTURE.deb.
std::string find_deb(const std::string& folder, const std::string& package) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(package + "_") && name.ends_with(".deb")) return entry.path().string();
  }
  return "";
}

// The path of the downloaded package; one that was cut by an interruption is fetched again.
std::string download(const std::string& package, const std::string& folder) {
  std::string deb = find_deb(folder, package);
  if (!deb.empty() && run_program({"dpkg-deb", "--info", deb}, folder).exit_code == 0) return deb;
  if (!deb.empty()) fs::remove(deb);
  ProgramResult result;
  try {
    result = run_program({"apt-get", "download", "-q", package}, folder);
  } catch (const Unavailable& error) {
    throw Unavailable(Complaint{
        .place = "data fetch",
        .problem = error.what(),
        .advice = "default corpora need a Debian system, use your own text: {data} PATH"});
  }
  if (interrupted())
    throw Interrupted("interrupted while fetching; run the command again to go on");
  deb = find_deb(folder, package);
  if (result.exit_code != 0 || deb.empty()) {
    throw IoError(Complaint{
        .place = "data fetch",
        .problem = {package, " could not be downloaded (", last_line(result.output), ")"},
        .advice = "check the network, run `apt-get update`, or use your own text: {data} PATH"});
  }
  return deb;
}

// "python3.11-doc" and "python3-doc" are one name when versions are left out.
std::string without_version(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (std::isalpha(static_cast<unsigned char>(c))) result += c;
  }
  return result;
}

// The package with the files behind an unversioned name: a dependency that differs in its version
// only, or the package itself.
std::string versioned_package(const std::string& package, const std::string& deb,
                              const std::string& folder) {
  const std::string depends = run_program({"dpkg-deb", "-f", deb, "Depends"}, folder).output;
  for (size_t at = 0; at < depends.size();) {
    const size_t end = std::min(depends.find_first_of(" ,|\n", at), depends.size());
    const std::string name = depends.substr(at, end - at);
    if (!name.empty() && name != package && without_version(name) == without_version(package)) {
      return name;
    }
    at = end + 1;
  }
  return package;
}

// A line that a page's generator adds at the end.
void drop_generated_end(std::string& text) {
  const size_t end = text.find_last_not_of("\n");
  if (end == std::string::npos) return;
  const size_t line = text.find_last_of('\n', end);
  const size_t begin = line == std::string::npos ? 0 : line + 1;
  if (std::string_view(text).substr(begin).starts_with("This page last modified on")) {
    text.erase(begin);
  }
}

bool selected(const std::string& path, const CorpusPackage& package) {
  const std::string name = path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path;
  return std::any_of(package.endings.begin(), package.endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); }) &&
         std::none_of(package.not_in.begin(), package.not_in.end(),
                      [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

// Writes one .txt a document; keeps the first of equal ones.
class TextWriter {
 public:
  TextWriter(std::string folder, FetchedCorpus& counts)
      : folder_(std::move(folder)), counts_(counts) {}

  void add_package(const CorpusPackage& package, const std::string& unpacked) {
    ProgressLine progress;
    for (const SourceFile& file : list_source_files({unpacked})) {
      if (interrupted())
        throw Interrupted("interrupted while fetching; run the command again to go on");
      if (!selected(file.path, package)) continue;
      auto document = read_document_file(file.path, {}, remarks_);
      if (!document) continue;
      drop_generated_end(document->text);
      if (document->text.size() < kShortestDocument) continue;
      if (!seen_.insert(content_hash(document->text)).second) {
        ++counts_.duplicates;
        continue;
      }
      write(package.name, file.path.substr(unpacked.size() + 1), document->text);
      if (progress.due()) {
        progress.show(concat("extracting ", package.name, ": ", counts_.documents, " documents, ",
                             human_bytes(static_cast<double>(counts_.bytes))));
      }
    }
  }

  const SourceRemarks& remarks() const { return remarks_; }

 private:
  void write(const std::string& package, std::string relative, const std::string& text) {
    // A flat name that still says where the text came from.
    if (relative.starts_with("usr/share/"))
      relative.erase(0, std::string_view("usr/share/").size());
    std::replace(relative.begin(), relative.end(), '/', '-');
    const std::string folder = folder_ + "/" + package;
    make_folders(folder);
    // Not AtomicFile: the folder as a whole is renamed when it is complete, and thousands of fsyncs
    // would take minutes.
    const std::string path = folder + "/" + relative + ".txt";
    std::FILE* file = std::fopen(path.c_str(), "wb");
    const bool written = file && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (!file || std::fclose(file) != 0 || !written) {
      throw IoError(concat(path, ": cannot be written; free some space or set XDG_CACHE_HOME"));
    }
    ++counts_.documents;
    counts_.bytes += static_cast<int64_t>(text.size());
  }

  std::string folder_;
  FetchedCorpus& counts_;
  std::set<ContentHash> seen_;
  SourceRemarks remarks_;
};

Json describe(const DefaultCorpus& corpus, const FetchedCorpus& result) {
  return Json(Json::Object{{"name", corpus.name},
                           {"cleaning_version", kCleaningVersion},
                           {"licence", corpus.licence},
                           {"packages", result.packages},
                           {"fetched_bytes", result.fetched_bytes},
                           {"documents", result.documents},
                           {"bytes", result.bytes},
                           {"duplicates", result.duplicates}});
}

// What an earlier run finished, if it was of this version.
bool read_finished(const std::string& path, FetchedCorpus& result) {
  if (!path_exists(path) || !is_folder(result.folder)) return false;
  try {
    const Json json = parse_json_file(path);
    if (json.at("cleaning_version").as_integer() != kCleaningVersion) return false;
    result.packages = json.at("packages").as_integer();
    result.fetched_bytes = json.at("fetched_bytes").as_integer();
    result.documents = json.at("documents").as_integer();
    result.bytes = json.at("bytes").as_integer();
    result.duplicates = json.at("duplicates").as_integer();
  } catch (const FormatError&) {
    return false;  // made again
  }
  result.reused = true;
  return true;
}

}  // namespace

FetchedCorpus fetch_default_corpus(const DefaultCorpus& corpus, const std::string& cache_folder) {
  const std::string root = fs::absolute(cache_folder + "/data/" + corpus.name).string();
  const std::string finished = root + "/fetched.json", partial = root + "/text.partial";
  FetchedCorpus result;
  result.folder = root + "/text";
  if (read_finished(finished, result)) return result;

  const std::string debs = root + "/debs", unpacked = root + "/unpacked";
  make_folders(debs);
  std::error_code ignored;
  fs::remove(finished, ignored);
  fs::remove_all(partial, ignored);
  fs::remove_all(result.folder, ignored);
  TextWriter writer(partial, result);
  for (const CorpusPackage& package : corpus.packages) {
    if (interrupted())
      throw Interrupted("interrupted while fetching; run the command again to go on");
    log_note("fetching ", package.name);
    std::string deb = download(package.name, debs);
    const std::string versioned = versioned_package(package.name, deb, debs);
    if (versioned != package.name) deb = download(versioned, debs);
    const std::string files = unpacked + "/" + package.name;
    fs::remove_all(files, ignored);
    make_folders(files);
    const ProgramResult extracted = run_program({"dpkg-deb", "-x", deb, files}, debs);
    if (extracted.exit_code != 0) {
      throw FormatError(concat(deb, ": cannot be unpacked (", last_line(extracted.output),
                               "); delete it and run the command again"));
    }
    ++result.packages;
    result.fetched_bytes += static_cast<int64_t>(fs::file_size(deb));
    writer.add_package(package, files);
    fs::remove_all(files, ignored);
  }
  SourceRemarks::say(writer.remarks().lines());
  if (result.documents == 0) throw FormatError(corpus.name + ": its packages hold no text");
  fs::rename(partial, result.folder);
  write_file_atomically(finished, describe(corpus, result).dump(2) + "\n");
  fs::remove_all(debs, ignored);
  fs::remove_all(unpacked, ignored);
  return result;
}

}  // namespace hadal
