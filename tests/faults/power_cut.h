// faults/power_cut.h: what a disk may hold after the power failed at some moment of a recorded run. A
// file system without a journal keeps what was synced: the bytes of a file by its fsync, the names in a
// folder by the folder's. Of all that came later it may keep anything.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/faults/fault_disk.h"

namespace hadal::test {

// A tree of files below a root: relative path -> what is there.
struct DiskItem {
  enum class Kind : uint8_t { kFile, kFolder, kLink } kind;
  std::shared_ptr<const std::string> text;  // the bytes, or what the link points to
};
using DiskTree = std::map<std::string, DiskItem>;

DiskTree read_tree(const std::string& root);
void write_tree(const std::string& root, const DiskTree& tree);  // in place of what is there
bool same_tree(const DiskTree& a, const DiskTree& b);
// Relative paths that differ, for a message.
std::string difference(const DiskTree& a, const DiskTree& b);
uint64_t tree_hash(const DiskTree& tree);

// What became of changes that were not synced.
enum class Kept : uint8_t {
  kAll,         // nothing lost: the process died, not the machine
  kNone,        // names and bytes are as they were last synced
  kEmptyFiles,  // all names are there; bytes that were not synced are not, nor the length
  kZeroFiles,   // all names and lengths; bytes that were not synced are zero
  kChance,      // of each name and each write, by the seed
};

class PowerCut {
 public:
  PowerCut(std::string root, const DiskTree& start);
  void apply(const Change& change);
  DiskTree after(Kept kept, uint64_t seed = 0) const;
  // Paths whose name or bytes a power cut could take now.
  std::vector<std::string> unsynced() const;

 private:
  struct Node {
    DiskItem::Kind kind = DiskItem::Kind::kFile;
    std::string link;
    std::string now, safe;  // of a file
    std::vector<std::pair<int64_t, std::string>>
        pending;  // writes since the sync; offset -1: cut to nothing
    std::map<std::string, int> names, safe_names;           // of a folder
    std::vector<std::map<std::string, int>> pending_names;  // changes: name -> node, -1: gone
  };
  std::pair<int, std::string> locate(const std::string& path) const;  // folder, last part
  int find(const std::string& path) const;
  int add(const std::string& path, DiskItem::Kind kind);
  void set_names(int folder, std::map<std::string, int> names);
  void collect(int node, const std::string& path, Kept kept, uint64_t seed, DiskTree& tree) const;
  void find_unsynced(int node, const std::string& path, std::vector<std::string>& found) const;

  std::string root_;
  std::vector<Node> nodes_;
  std::map<int64_t, int> by_handle_;
};

}  // namespace hadal::test
