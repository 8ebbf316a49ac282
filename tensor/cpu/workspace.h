#pragma once
#include <omp.h>

#include <cstdint>
#include <vector>

#include "tensor/real.h"

namespace bobbin::cpu {

/// Numbers to work in, which begin with a cache line: vectors that lie across two take twice as long to read.
template <class T>
class Scratch {
 public:
  T* resize(Index n) {
    const std::size_t size = static_cast<std::size_t>(n) + line / sizeof(T);
    if (numbers_.size() < size) numbers_.resize(size);  // never less: what comes back would be filled with zeros again
    const auto beyond = reinterpret_cast<std::uintptr_t>(numbers_.data()) % line;
    return numbers_.data() + (beyond == 0 ? 0 : (line - beyond) / sizeof(T));
  }

 private:
  static constexpr std::size_t line = 64;
  std::vector<T> numbers_;
};

/// The same for each thread, taken before the threads start, so that they do not wait for one another. A caller that is
/// itself one of several threads stays alone. The caller's thread keeps them for its next call.
template <class T>
class Workspace {
 public:
  explicit Workspace(Index size) : size_((size + 63) / 64 * 64), alone_(omp_in_parallel()) {
    thread_local Scratch<T> kept;
    all_ = kept.resize((alone_ ? 1 : omp_get_max_threads()) * size_);
  }
  T* mine() const { return all_ + (alone_ ? 0 : omp_get_thread_num() * size_); }

 private:
  Index size_;
  bool alone_;
  T* all_;
};

}  // namespace bobbin::cpu
