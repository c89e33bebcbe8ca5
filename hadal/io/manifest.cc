#include "hadal/io/manifest.h"

#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/mapped_file.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

std::string manifest_path(const std::string& folder) { return folder + "/manifest.json"; }

Json describe(const std::string& path) {
  const auto file = MappedFile::open(path);
  char hash[24];
  std::snprintf(
      hash, sizeof(hash), "%016llx",
      static_cast<unsigned long long>(XXH3_64bits(file->bytes().data(), file->bytes().size())));
  Json entry = Json::object();
  entry["bytes"] = static_cast<int64_t>(file->bytes().size());
  entry["xxh3_64"] = hash;
  return entry;
}

}  // namespace

void write_manifest(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  Json files = Json::object();
  for (const std::string& name : names) files[name] = describe(folder + "/" + name);
  Json manifest = Json::object();
  manifest["files"] = std::move(files);
  write_file_atomically(manifest_path(folder), manifest.dump(2) + "\n");
}

std::string find_damage(const std::string& folder) {
  try {
    const Json manifest = parse_json_file(manifest_path(folder));
    for (const auto& [name, entry] : manifest.at("files").as_object()) {
      const Json found = describe(folder + "/" + name);
      if (found != entry) {
        return concat(name, ": found ", found.dump(), ", expected ", entry.dump());
      }
    }
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace hadal
