#pragma once
#include <omp.h>

#include <vector>

#include "tensor/real.h"

namespace bobbin::cpu {

/// Numbers for each thread to work in, taken before the threads start: inside nothing may throw. A caller that is
/// itself one of several threads stays alone. The caller's thread keeps them for its next call.
template <class T>
class Workspace {
 public:
  explicit Workspace(Index size) : size_(size), alone_(omp_in_parallel()) {
    thread_local std::vector<T> kept;
    kept.resize(static_cast<std::size_t>((alone_ ? 1 : omp_get_max_threads()) * size));
    all_ = kept.data();
  }
  T* mine() const { return all_ + (alone_ ? 0 : omp_get_thread_num() * size_); }

 private:
  Index size_;
  bool alone_;
  T* all_;
};

}  // namespace bobbin::cpu
