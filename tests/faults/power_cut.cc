#include "tests/faults/power_cut.h"

#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "hadal/core/error.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;

bool coin(uint64_t seed, uint64_t node, uint64_t index) {
  const uint64_t key[] = {seed, node, index};
  return (XXH3_64bits(key, sizeof key) & 1) != 0;
}

void put(std::string& text, int64_t offset, const std::string& data) {
  const auto at = static_cast<size_t>(offset);
  if (text.size() < at + data.size()) text.resize(at + data.size(), '\0');
  text.replace(at, data.size(), data);
}

}  // namespace

DiskTree read_tree(const std::string& root) {
  DiskTree tree;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string path = entry.path(), name = path.substr(root.size() + 1);
    if (entry.is_symlink()) {
      tree[name] = {DiskItem::Kind::kLink, std::make_shared<std::string>(fs::read_symlink(path))};
    } else if (entry.is_directory()) {
      tree[name] = {DiskItem::Kind::kFolder, std::make_shared<std::string>()};
    } else {
      tree[name] = {DiskItem::Kind::kFile, std::make_shared<std::string>(read_bytes(path))};
    }
  }
  return tree;
}

void write_tree(const std::string& root, const DiskTree& tree) {
  // What is right already stays: its time of change is a part of what data are prepared from.
  const DiskTree there = read_tree(root);
  const auto is_right = [&](const std::string& name, const DiskItem& item) {
    const auto found = tree.find(name);
    return found != tree.end() && found->second.kind == item.kind &&
           *found->second.text == *item.text;
  };
  for (const auto& [name, item] : there) {
    if (!is_right(name, item)) fs::remove_all(root + "/" + name);
  }
  for (const auto& [name, item] : tree) {  // a folder comes before what lies in it
    const std::string path = root + "/" + name;
    const auto found = there.find(name);
    if (found != there.end() && is_right(name, found->second)) continue;
    if (item.kind == DiskItem::Kind::kFolder) {
      fs::create_directory(path);
    } else if (item.kind == DiskItem::Kind::kLink) {
      fs::create_symlink(*item.text, path);
    } else {
      std::ofstream(path, std::ios::binary)
          .write(item.text->data(), static_cast<std::streamsize>(item.text->size()));
    }
  }
}

bool same_tree(const DiskTree& a, const DiskTree& b) { return difference(a, b).empty(); }

std::string difference(const DiskTree& a, const DiskTree& b) {
  std::string names;
  for (const auto& [name, item] : a) {
    const auto other = b.find(name);
    if (other == b.end()) names += " -" + name;
    if (other != b.end() &&
        (other->second.kind != item.kind || *other->second.text != *item.text)) {
      names += " *" + name;
    }
  }
  for (const auto& [name, item] : b) {
    if (!a.contains(name)) names += " +" + name;
  }
  return names;
}

uint64_t tree_hash(const DiskTree& tree) {
  uint64_t hash = 0;
  for (const auto& [name, item] : tree) {
    const uint64_t parts[] = {hash, XXH3_64bits(name.data(), name.size()),
                              static_cast<uint64_t>(item.kind),
                              XXH3_64bits(item.text->data(), item.text->size())};
    hash = XXH3_64bits(parts, sizeof parts);
  }
  return hash;
}

PowerCut::PowerCut(std::string root, const DiskTree& start) : root_(std::move(root)), nodes_(1) {
  nodes_[0].kind = DiskItem::Kind::kFolder;
  for (const auto& [name, item] : start) {
    const int id = add(root_ + "/" + name, item.kind);
    Node& node = nodes_[static_cast<size_t>(id)];
    if (item.kind == DiskItem::Kind::kLink) node.link = *item.text;
    if (item.kind == DiskItem::Kind::kFile) node.now = node.safe = *item.text;
  }
  for (Node& node : nodes_) {
    node.safe_names = node.names;
    node.pending_names.clear();
  }
}

int PowerCut::find(const std::string& path) const {
  int node = 0;
  for (const fs::path& part : fs::path(path).lexically_relative(root_)) {
    if (part == ".") continue;
    const Node& folder = nodes_[static_cast<size_t>(node)];
    const auto found = folder.names.find(part);
    if (found == folder.names.end()) return -1;
    node = found->second;
  }
  return node;
}

std::pair<int, std::string> PowerCut::locate(const std::string& path) const {
  return {find(fs::path(path).parent_path()), fs::path(path).filename()};
}

void PowerCut::set_names(int folder, std::map<std::string, int> names) {
  Node& node = nodes_[static_cast<size_t>(folder)];
  for (const auto& [name, id] : names) {
    if (id < 0) {
      node.names.erase(name);
    } else {
      node.names[name] = id;
    }
  }
  node.pending_names.push_back(std::move(names));
}

int PowerCut::add(const std::string& path, DiskItem::Kind kind) {
  const auto [folder, name] = locate(path);
  if (folder < 0) throw IoError(path + ": lies in no folder that was recorded");
  const auto id = static_cast<int>(nodes_.size());
  nodes_.emplace_back().kind = kind;
  set_names(folder, {{name, id}});
  return id;
}

void PowerCut::apply(const Change& change) {
  using Kind = Change::Kind;
  const auto file = [&]() -> Node& {
    return nodes_[static_cast<size_t>(by_handle_.at(change.handle))];
  };
  switch (change.kind) {
    case Kind::kCreate:
    case Kind::kTruncate: {
      const int there = find(change.path);
      by_handle_[change.handle] = there >= 0 ? there : add(change.path, DiskItem::Kind::kFile);
      if (change.kind == Kind::kTruncate) {
        file().now.clear();
        file().pending.emplace_back(-1, "");
      }
      break;
    }
    case Kind::kWrite:
      put(file().now, change.offset, change.data);
      file().pending.emplace_back(change.offset, change.data);
      break;
    case Kind::kSyncFile:
      file().safe = file().now;
      file().pending.clear();
      break;
    case Kind::kSyncFolder:
      file().safe_names = file().names;
      file().pending_names.clear();
      break;
    case Kind::kRename:
    case Kind::kExchange: {
      const auto [from, old_name] = locate(change.path);
      const auto [to, new_name] = locate(change.other);
      const int moved = find(change.path),
                other = change.kind == Kind::kExchange ? find(change.other) : -1;
      if (from == to) {
        set_names(from, {{old_name, other}, {new_name, moved}});
      } else {
        set_names(from, {{old_name, other}});
        set_names(to, {{new_name, moved}});
      }
      break;
    }
    case Kind::kRemove:
      set_names(locate(change.path).first, {{locate(change.path).second, -1}});
      break;
    case Kind::kMakeFolder:
      add(change.path, DiskItem::Kind::kFolder);
      break;
    case Kind::kLink: {
      const int id = add(change.path, DiskItem::Kind::kLink);
      nodes_[static_cast<size_t>(id)].link = change.other;
      break;
    }
    case Kind::kNote:
      break;
  }
}

void PowerCut::collect(int id, const std::string& path, Kept kept, uint64_t seed,
                       DiskTree& tree) const {
  const Node& node = nodes_[static_cast<size_t>(id)];
  const auto number = static_cast<uint64_t>(id);
  if (node.kind == DiskItem::Kind::kFolder) {
    if (id != 0) tree[path] = {node.kind, std::make_shared<std::string>()};
    std::map<std::string, int> names =
        kept == Kept::kNone || kept == Kept::kChance ? node.safe_names : node.names;
    for (size_t i = 0; kept == Kept::kChance && i < node.pending_names.size(); ++i) {
      if (!coin(seed, number, i)) continue;
      for (const auto& [name, child] : node.pending_names[i]) {
        if (child < 0) {
          names.erase(name);
        } else {
          names[name] = child;
        }
      }
    }
    for (const auto& [name, child] : names) {
      collect(child, path.empty() ? name : path + "/" + name, kept, seed, tree);
    }
    return;
  }
  std::string text = node.kind == DiskItem::Kind::kLink ? node.link : node.safe;
  if (node.kind == DiskItem::Kind::kFile && !node.pending.empty()) {
    if (kept == Kept::kAll) text = node.now;
    if (kept == Kept::kZeroFiles) text.resize(node.now.size(), '\0');
    for (size_t i = 0; kept == Kept::kChance && i < node.pending.size(); ++i) {
      if (!coin(seed, number, i)) continue;
      const auto& [offset, data] = node.pending[i];
      if (offset < 0) {
        text.clear();
      } else {
        put(text, offset, data);
      }
    }
  }
  tree[path] = {node.kind, std::make_shared<std::string>(std::move(text))};
}

DiskTree PowerCut::after(Kept kept, uint64_t seed) const {
  DiskTree tree;
  collect(0, "", kept, seed, tree);
  return tree;
}

void PowerCut::find_unsynced(int id, const std::string& path,
                             std::vector<std::string>& found) const {
  const Node& node = nodes_[static_cast<size_t>(id)];
  if (!node.pending.empty()) found.push_back(path + " (its bytes)");
  for (const auto& [name, child] : node.names) {
    const std::string inner = path.empty() ? name : path + "/" + name;
    const auto safe = node.safe_names.find(name);
    if (safe == node.safe_names.end() || safe->second != child)
      found.push_back(inner + " (its name)");
    find_unsynced(child, inner, found);
  }
}

std::vector<std::string> PowerCut::unsynced() const {
  std::vector<std::string> found;
  find_unsynced(0, "", found);
  return found;
}

}  // namespace hadal::test
