#pragma once
#include <filesystem>

namespace bobbin {

/// While it lives, its process alone writes in a run's folder. It ends with the process, too, however that ends; and
/// where a file system knows no locks, there is none. Linux's NFS locks a folder on each machine by itself: there two
/// machines may have it at once.
class RunLock {
 public:
  /// Throws Error if another has the lock, and if the folder cannot be opened.
  explicit RunLock(const std::filesystem::path& folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int folder_;
};

}  // namespace bobbin
