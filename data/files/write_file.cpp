#include "data/files/write_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tensor/check.h"

namespace bobbin {
namespace {

// A file descriptor that is closed on every way out.
class Descriptor {
 public:
  // O_NONBLOCK: whatever is there, a pipe too, it is not waited for.
  Descriptor(const char* path, int flags) : fd_(::open(path, flags | O_NONBLOCK | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  bool ok() const { return fd_ >= 0; }
  bool write(std::string_view content) const {
    while (!content.empty()) {
      const ssize_t n = ::write(fd_, content.data(), content.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      content.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool sync() const { return ::fsync(fd_) == 0; }

 private:
  int fd_;
};

// What is written first, by each process under a name of its own.
std::string beside_of(const std::filesystem::path& path) {
  return path.string() + "." + std::to_string(::getpid()) + ".tmp";
}

[[noreturn]] void fail_to_write(const std::filesystem::path& path, int reason) {
  fail("write_file", "cannot write ", path.string(), ": ", std::strerror(reason));
}

}  // namespace

void write_file(const std::filesystem::path& path, std::string_view content) {
  const std::string beside = beside_of(path);
  bool done = false;
  {
    const Descriptor file(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC);
    done = file.ok() && file.write(content) && file.sync();
  }
  done = done && std::rename(beside.c_str(), path.c_str()) == 0;
  if (!done) {
    const int reason = errno;
    ::unlink(beside.c_str());
    fail_to_write(path, reason);
  }
  // The new name is on the disk once its folder is. Some file systems cannot do that, and need not.
  const Descriptor folder(path.has_parent_path() ? path.parent_path().c_str() : ".", O_RDONLY | O_DIRECTORY);
  if (folder.ok()) folder.sync();
}

void check_can_write(const std::filesystem::path& path) {
  std::error_code absent;
  if (std::filesystem::is_directory(path, absent)) fail_to_write(path, EISDIR);
  const std::string beside = beside_of(path);
  const bool begun = Descriptor(beside.c_str(), O_WRONLY | O_CREAT).ok();
  if (!begun) fail_to_write(path, errno);
  ::unlink(beside.c_str());
}

bool make_folder(const std::filesystem::path& path) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(path, error);
  check(!error, "make_folder", "cannot make the folder ", path.string(), ": ", error.message());
  return made;
}

}  // namespace bobbin
