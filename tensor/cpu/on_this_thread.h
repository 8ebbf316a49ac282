#pragma once
#include <omp.h>

namespace bobbin::cpu {

/// While it lives, a library stays on the thread that calls it. Otherwise OpenBLAS counts on as many as OpenMP has at
/// most, and where these do not come (OMP_THREAD_LIMIT, OMP_DYNAMIC) it waits for them for ever; oneDNN would leave
/// their part undone.
class OnThisThread {
 public:
  OnThisThread() { omp_set_num_threads(1); }  // of this thread's regions, within a region too
  ~OnThisThread() { omp_set_num_threads(before_); }
  OnThisThread(const OnThisThread&) = delete;
  OnThisThread& operator=(const OnThisThread&) = delete;

 private:
  int before_ = omp_get_max_threads();
};

}  // namespace bobbin::cpu
