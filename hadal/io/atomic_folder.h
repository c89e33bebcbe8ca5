// io/atomic_folder.h: a folder that appears whole or not at all. It is filled under another name
// beside its own, PATH.partial-PID; commit() flushes it to the disk, renames it, and flushes the name.
#pragma once

#include <string>

#include "hadal/core/function_ref.h"

namespace hadal {

class AtomicFolder {
 public:
  // Makes the folders above PATH; what writers that died left beside it is removed. IoError.
  explicit AtomicFolder(const std::string& path);
  ~AtomicFolder();  // without commit(): removes what was written
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  // Where to write until commit(). Every file there must be on the disk by then, as AtomicFile's are.
  const std::string& temporary() const { return temporary_; }
  // In place of an older folder at PATH: the two are exchanged at once where the file system can.
  void commit();

 private:
  void exchange();
  std::string path_, temporary_;
};

// Takes a folder away as a whole: it is renamed before the first of its files goes. What cannot be
// removed now stays, under the other name, for remove_abandoned().
void discard_folder(const std::string& path);

// Removes what AtomicFile and AtomicFolder of processes that are gone left in a folder on their way to
// a name that is ours: nothing else of a user's folder. What cannot be removed stays.
void remove_abandoned(const std::string& folder,
                      FunctionRef<bool(const std::string& name)> is_ours);

}  // namespace hadal
