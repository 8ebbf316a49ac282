#include "data/files/write_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

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
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
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

// A file whose content is written beside it.
class Beside {
 public:
  Beside(std::filesystem::path path, std::string_view content)
      : path_(std::move(path)), beside_(beside_of(path_)), file_(beside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC) {
    if (!file_.ok() || !file_.write(content)) give_up();
  }
  // Forces it to the disk, and gives it its name.
  void finish() const {
    if (!file_.sync() || std::rename(beside_.c_str(), path_.c_str()) != 0) give_up();
    // The new name is on the disk once its folder is. Some file systems cannot do that, and need not.
    const Descriptor folder(path_.has_parent_path() ? path_.parent_path().c_str() : ".", O_RDONLY | O_DIRECTORY);
    if (folder.ok()) folder.sync();
  }

 private:
  [[noreturn]] void give_up() const {
    const int reason = errno;
    ::unlink(beside_.c_str());
    fail_to_write(path_, reason);
  }

  std::filesystem::path path_;
  std::string beside_;
  Descriptor file_;
};

}  // namespace

// Does one thing after the other.
class WritesBehind::Thread {
 public:
  ~Thread() {
    wait();
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  // f(), which makes this file; or none.
  void push(std::function<void()> f, const std::filesystem::path& file = {}) {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(f), file});
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return queue_.empty(); });
  }
  // Until this file is made, if it is to be.
  void wait_for(const std::filesystem::path& file) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return std::ranges::find(queue_, file, &Work::file) == queue_.end(); });
  }
  // What went wrong first since this was last asked.
  void rethrow() {
    const std::lock_guard lock(mutex_);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, [&] { return ends_ || !queue_.empty(); }), !queue_.empty()) {
      const std::function<void()> f = queue_.front().f;
      lock.unlock();
      std::exception_ptr error;
      try {
        f();
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (!error_) error_ = error;
      queue_.pop_front();
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  struct Work {
    std::function<void()> f;
    std::filesystem::path file;
  };
  std::deque<Work> queue_;  // the first is being done
  std::exception_ptr error_;
  bool ends_ = false;
  std::thread thread_{[this] { work(); }};
};

namespace {
WritesBehind::Thread* behind = nullptr;
}

WritesBehind::WritesBehind() : thread_(std::make_unique<Thread>()) {
  check(!behind, "WritesBehind", "there is such a scope already");
  behind = thread_.get();
}
WritesBehind::~WritesBehind() {
  thread_.reset();
  behind = nullptr;
}
void WritesBehind::wait() {
  if (!behind) return;
  behind->wait();
  behind->rethrow();
}
void WritesBehind::after(std::function<void()> f) { behind ? behind->push(std::move(f)) : f(); }

void write_file(const std::filesystem::path& path, std::string_view content) {
  if (!behind) return Beside(path, content).finish();
  behind->rethrow();
  behind->wait_for(path);  // beside it there is room for one
  behind->push([file = std::make_shared<const Beside>(path, content)] { file->finish(); }, path);
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
