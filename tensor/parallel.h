// Loops on all cores.
#pragma once
#include <omp.h>

#include <algorithm>
#include <exception>

#include "tensor/real.h"

namespace bobbin {

/// Calls body(begin, end) on pieces of [0, n) on all threads and waits for them. Each piece has at
/// least `grain` indices, so that small work stays on the calling thread: waking a thread costs
/// some microseconds. Nested calls run serially. What `body` throws
/// is thrown here when all threads are done, of several the first.
///
/// The pieces depend on the number of threads. A sum that must not depend on it fixes its own
/// chunks and loops over those (see tensor/cpu/reduce.cpp).
template <class Body>
void parallel_for(Index n, Index grain, const Body& body) {
  const int threads = static_cast<int>(std::min<Index>(omp_get_max_threads(), n / std::max<Index>(grain, 1)));
  if (threads <= 1 || omp_in_parallel()) {
    if (n > 0) body(Index{0}, n);
    return;
  }
  std::exception_ptr error;  // may not leave a thread
#pragma omp parallel num_threads(threads)
  {
    const Index t = omp_get_thread_num(), count = omp_get_num_threads();
    const Index begin = n * t / count, end = n * (t + 1) / count;
    try {
      if (begin < end) body(begin, end);
    } catch (...) {
#pragma omp critical(parallel_for)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace bobbin
