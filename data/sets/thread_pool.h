#pragma once
#include <barrier>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace bobbin {

/// Threads that stay and wait for work. Sixteen of them make a batch of small pictures in a fraction of a millisecond,
/// and take two to start.
class ThreadPool {
 public:
  /// Starts size - 1 threads, as the one that calls run() is another. Throws Error unless size >= 1, and
  /// std::system_error where the system lets it start no more.
  explicit ThreadPool(int size);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// How many threads, that one included.
  int size() const { return static_cast<int>(errors_.size()); }

  /// Calls work(0) on this thread and work(1), ..., work(size - 1) on the others, and returns when all have returned.
  /// If some throw, it throws what the one of the smallest number has thrown. One thread at a time may call it.
  void run(const std::function<void(int)>& work);

 private:
  void serve(int number);
  void call(int number);
  void end_threads();

  const std::function<void(int)>* work_ = nullptr;  // nullptr: there will be no more
  std::vector<std::exception_ptr> errors_;          // what each call has thrown
  std::barrier<> all_;                              // where all meet before the calls, and after them
  std::vector<std::thread> threads_;
};

}  // namespace bobbin
