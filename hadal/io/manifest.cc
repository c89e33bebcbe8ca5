#include "hadal/io/manifest.h"

#include <fcntl.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

#include "hadal/core/descriptor.h"
#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

std::string manifest_path(const std::string& folder) { return folder + "/manifest.json"; }

constexpr size_t kBlockBytes = size_t{1} << 20;

struct FreeHash {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

}  // namespace

// By read(2): a block that the disk cannot give back is an error that names the file, where a mapping
// would end the process.
Json file_checksum(const std::string& path) {
  Descriptor file = Descriptor::open(path, O_RDONLY);
  if (!file) refuse_to_read(path, "cannot be opened", errno);
  const std::unique_ptr<XXH3_state_t, FreeHash> hash(XXH3_createState());
  XXH3_64bits_reset(hash.get());
  std::vector<char> block(kBlockBytes);
  int64_t bytes = 0, got = 0;
  do {
    got = file.read(block.data(), block.size());
    if (got < 0) refuse_to_read(path, "cannot be read", errno);
    XXH3_64bits_update(hash.get(), block.data(), static_cast<size_t>(got));
    bytes += got;
  } while (got > 0);
  char text[24];
  std::snprintf(text, sizeof(text), "%016llx",
                static_cast<unsigned long long>(XXH3_64bits_digest(hash.get())));
  Json entry = Json::object();
  entry["bytes"] = bytes;
  entry["xxh3_64"] = text;
  return entry;
}

void write_manifest(const std::string& folder) {
  Json files = Json::object();
  for (const std::string& name : entry_names(folder))
    files[name] = file_checksum(folder + "/" + name);
  Json manifest = Json::object();
  manifest["files"] = std::move(files);
  write_file_atomically(manifest_path(folder), manifest.dump(2) + "\n");
}

std::string find_damage(const std::string& folder) {
  try {
    const Json manifest = parse_json_file(manifest_path(folder));
    for (const auto& [name, entry] : manifest.at("files").as_object()) {
      const Json found = file_checksum(folder + "/" + name);
      if (found != entry) {
        return concat(name, ": found ", found.dump(), ", expected ", entry.dump());
      }
    }
    return "";
  } catch (const FormatError& error) {
    const std::string what = error.what();
    return what.starts_with(folder) ? what : concat(manifest_path(folder), ": ", what);
  }
}

}  // namespace hadal
