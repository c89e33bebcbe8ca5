#include "hadal/train/run_files.h"

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/first_of_several.h"
#include "hadal/core/json.h"
#include "hadal/corpus/document_source.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

std::string file_of(const std::string& run_folder) { return run_folder + "/data_files.json"; }

// {absolute path: bytes}
Json files_now(const std::vector<std::string>& paths) {
  Json files = Json::object();
  for (const SourceFile& file : list_source_files(paths)) {
    files[fs::absolute(file.path).lexically_normal().string()] = file.bytes;
  }
  return files;
}

}  // namespace

void write_run_files(const std::string& run_folder, const std::vector<std::string>& paths) {
  write_file_atomically(file_of(run_folder), files_now(paths).dump(2) + "\n");
}

std::string changed_run_files(const std::string& run_folder,
                              const std::vector<std::string>& paths) {
  if (!path_exists(file_of(run_folder))) return "";
  const Json then = parse_json_file(file_of(run_folder)), now = files_now(paths);
  FirstOfSeveral differences;
  for (const auto& [path, bytes] : now.as_object()) {
    const Json* before = then.find(path);
    if (before == nullptr) {
      differences.note(path + " is new");
    } else if (*before != bytes) {
      differences.note(
          concat(path, " has ", bytes.as_integer(), " bytes, had ", before->as_integer()));
    }
  }
  for (const auto& [path, bytes] : then.as_object()) {
    if (now.find(path) == nullptr) differences.note(path + " is gone");
  }
  return differences.text();
}

}  // namespace hadal
