#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

namespace bobbin {

/// Writes a file so that at any moment, a power failure included, either the old or the whole new one is there: beside
/// it under another name, FILE.PROCESS.tmp, forced to the disk, then renamed. Of several processes that write the same
/// file the last one's is there.
/// Throws Error with the path and the system's reason (no space left, permission denied, no such
/// directory); what was there before stays.
void write_file(const std::filesystem::path& path, std::string_view content);

/// A scope in which write_file() returns when the content is written, and leaves it to a thread to force that to the
/// disk and to rename it, which may take longer than the writing: for files that nobody waits for. They get their names
/// in the order in which they were written, and what write_file() says of any moment holds. One at a time.
///
///     const WritesBehind behind;
///     write_file(...);  // work goes on
///     WritesBehind::wait();
class WritesBehind {
 public:
  WritesBehind();
  /// Waits, too, and is silent of what wait() would have thrown: for a scope that ends with another error.
  ~WritesBehind();
  WritesBehind(const WritesBehind&) = delete;

  /// Waits until all files have their names. Throws Error, as write_file(), of the first that could not be written; so
  /// does the next call of write_file(). Where there is no such scope nothing is waited for.
  static void wait();
  /// f() when what was written before has its name, such as to remove what it takes the place of; f throws nothing. At
  /// once where there is no such scope.
  static void after(std::function<void()> f);

  class Thread;

 private:
  std::unique_ptr<Thread> thread_;
};

/// For a program that writes a file when its work is done: throws Error now if write_file() could not begin it, for
/// want of the folder or the right to write there, or because there is a folder of that name. Leaves nothing behind.
void check_can_write(const std::filesystem::path& path);

/// Makes a folder, and those above it that are missing; one that is there stays. Returns whether it is new: of several
/// processes that make it at once it is new for one. Throws Error with the path and the system's reason.
bool make_folder(const std::filesystem::path& path);

}  // namespace bobbin
