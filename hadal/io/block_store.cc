#include "hadal/io/block_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>

#include "hadal/core/descriptor.h"
#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

constexpr std::string_view kMagic = "hadal block 1\n";
constexpr std::string_view kEnding = ".block";
constexpr size_t kLengthBytes = 8;

struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};
using HashState = std::unique_ptr<XXH3_state_t, FreeState>;

std::string eight_bytes(uint64_t value) {
  std::string bytes(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  return bytes;
}

// What stands behind the checksum, before the bytes.
std::string head_of(std::string_view label) {
  return eight_bytes(label.size()) + std::string(label);
}

// The whole file, or nothing where the system does not give it.
std::optional<std::string> contents(Descriptor& file, int64_t size) {
  std::string bytes(static_cast<size_t>(size), '\0');
  if (file.read(bytes.data(), bytes.size()) != size) return std::nullopt;
  return bytes;
}

// Where the bytes of a whole file with this label begin; what is wrong otherwise.
struct Opened {
  size_t begin = 0;
  const char* damage = nullptr;
};
Opened open_block(std::string_view file, std::string_view label) {
  const size_t checked = kMagic.size() + kLengthBytes;
  if (file.size() < checked || !file.starts_with(kMagic)) return {0, "it is no block"};
  const std::string_view rest = file.substr(checked);
  if (file.substr(kMagic.size(), kLengthBytes) !=
      eight_bytes(XXH3_64bits(rest.data(), rest.size()))) {
    return {0, "its checksum does not agree"};
  }
  const std::string head = head_of(label);
  if (!rest.starts_with(head)) return {0, "it stands for something else"};
  return {checked + head.size(), nullptr};
}

struct Entry {
  std::string path;
  int64_t bytes;
  int64_t used;  // ns
};

std::vector<Entry> entries_of(const std::string& folder) {
  std::vector<Entry> entries;
  for (const std::string& name : entry_names(folder)) {
    if (!name.ends_with(kEnding)) continue;
    Entry entry{folder + "/" + name, 0, 0};
    struct stat status {};
    if (::stat(entry.path.c_str(), &status) != 0) continue;  // another process removed it
    entry.bytes = status.st_size;
    entry.used = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

std::string BlockKey::hex() const {
  char text[40];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(high),
                static_cast<unsigned long long>(low));
  return text;
}

BlockKey chained_key(const BlockKey& before, std::string_view bytes) {
  const HashState state(XXH3_createState());
  XXH3_128bits_reset(state.get());
  const std::string parent = eight_bytes(before.high) + eight_bytes(before.low);
  XXH3_128bits_update(state.get(), parent.data(), parent.size());
  XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return {hash.high64, hash.low64};
}

BlockStore::BlockStore(std::string folder, int64_t most_bytes)
    : folder_(std::move(folder)), most_bytes_(most_bytes) {
  make_folders(folder_);
}

std::string BlockStore::path_of(const BlockKey& key) const {
  return concat(folder_, "/", key.hex(), kEnding);
}

std::optional<std::vector<std::byte>> BlockStore::load(const BlockKey& key,
                                                       std::string_view label) {
  const std::string path = path_of(key);
  Descriptor file = Descriptor::open(path, O_RDONLY);
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const std::optional<std::string> bytes = contents(file, status.st_size);
  const Opened block = bytes ? open_block(*bytes, label) : Opened{0, "it cannot be read"};
  if (block.damage != nullptr) {
    log_warning(path, ": not used, since ", block.damage, "; removed, to be made again");
    ::remove(path.c_str());
    return std::nullopt;
  }
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);  // used now
  std::vector<std::byte> result(bytes->size() - block.begin);
  std::memcpy(result.data(), bytes->data() + block.begin, result.size());
  return result;
}

void BlockStore::save(const BlockKey& key, std::string_view label,
                      std::span<const std::span<const std::byte>> parts) {
  const std::string path = path_of(key);
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return;
  const std::string head = head_of(label);
  const HashState state(XXH3_createState());
  XXH3_64bits_reset(state.get());
  XXH3_64bits_update(state.get(), head.data(), head.size());
  size_t n = kMagic.size() + kLengthBytes + head.size();
  for (const std::span<const std::byte> part : parts) {
    XXH3_64bits_update(state.get(), part.data(), part.size());
    n += part.size();
  }
  make_room(static_cast<int64_t>(n));
  if (bytes_ + static_cast<int64_t>(n) > most_bytes_) return;  // larger than all that may be there
  try {
    AtomicFile file(path);
    file.write(kMagic);
    file.write(eight_bytes(XXH3_64bits_digest(state.get())));
    file.write(head);
    for (const std::span<const std::byte> part : parts) file.write(part.data(), part.size());
    file.commit();
    bytes_ += static_cast<int64_t>(n);
  } catch (const IoError& error) {  // a full disk: what cannot be kept is read again
    log_warning(error.what());
  }
}

void BlockStore::make_room(int64_t bytes) {
  if (bytes_ >= 0 && bytes_ + bytes <= most_bytes_) return;
  std::vector<Entry> entries = entries_of(folder_);  // other processes write here, too
  std::ranges::sort(entries, {}, &Entry::used);
  bytes_ = 0;
  for (const Entry& entry : entries) bytes_ += entry.bytes;
  for (const Entry& entry : entries) {
    if (bytes_ + bytes <= most_bytes_) return;
    ::remove(entry.path.c_str());
    bytes_ -= entry.bytes;
  }
}

}  // namespace hadal
