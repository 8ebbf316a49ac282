#include "data/sets/thread_pool.h"

#include <cstddef>

#include "tensor/check.h"

namespace bobbin {
namespace {

std::size_t checked(int size) {
  check(size >= 1, "ThreadPool", "it must have 1 thread or more, got ", size);
  return static_cast<std::size_t>(size);
}

}  // namespace

ThreadPool::ThreadPool(int size) : errors_(checked(size)), all_(size) {
  try {
    for (int i = 1; i < size; ++i) threads_.emplace_back([this, i] { serve(i); });
  } catch (...) {
    for (int i = static_cast<int>(threads_.size()) + 1; i < size; ++i)
      all_.arrive_and_drop();  // those that are missing
    end_threads();
    throw;
  }
}

ThreadPool::~ThreadPool() { end_threads(); }

void ThreadPool::end_threads() {
  work_ = nullptr;
  all_.arrive_and_wait();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(const std::function<void(int)>& work) {
  work_ = &work;
  all_.arrive_and_wait();
  call(0);
  all_.arrive_and_wait();
  for (const std::exception_ptr& error : errors_)
    if (error) std::rethrow_exception(error);
}

void ThreadPool::serve(int number) {
  for (;;) {
    all_.arrive_and_wait();
    if (!work_) return;
    call(number);
    all_.arrive_and_wait();
  }
}

void ThreadPool::call(int number) {
  std::exception_ptr& error = errors_[static_cast<std::size_t>(number)];
  error = nullptr;
  try {
    (*work_)(number);
  } catch (...) {
    error = std::current_exception();
  }
}

}  // namespace bobbin
