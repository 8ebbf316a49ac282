#pragma once
#include <barrier>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace bobbin {

/// Threads that stay and wait for work. A batch of small pictures takes a millisecond, and sixteen threads take two to
/// start.
class ThreadPool {
 public:
  /// Starts size - 1 threads, as the one that calls run() is another. Throws std::system_error where the system lets it
  /// start no more.
  explicit ThreadPool(int size);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(errors_.size()); }

  /// Calls work(0), work(1), ..., work(size - 1), each on a thread of its own, and returns when all have returned.
  /// Throws what the first of them to throw, in this order, has thrown. One thread at a time may call it.
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
