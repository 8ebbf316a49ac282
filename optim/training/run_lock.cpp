#include "optim/training/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tensor/check.h"

namespace bobbin {

// The lock is on the folder itself, so it leaves no file behind.
RunLock::RunLock(const std::filesystem::path& folder)
    : folder_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  check(folder_ >= 0, "RunLock", "cannot open the folder ", folder.string(), ": ", std::strerror(errno));
  if (::flock(folder_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(folder_);
  fail("RunLock", "another process is training in ", folder.string(),
       ": wait until it has ended, or choose another directory");
}

RunLock::~RunLock() { ::close(folder_); }

}  // namespace bobbin
