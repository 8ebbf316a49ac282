#include "tensor/threads.h"

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "tensor/check.h"
#include "tensor/cpu/container.h"

namespace bobbin {

int threads() { return omp_get_max_threads(); }

int default_threads() {
  return std::getenv("OMP_NUM_THREADS") ? threads() : std::min(threads(), cpu::container_cpus());
}

void set_threads(int count) {
  check(count >= 1 && count <= 1024, "set_threads", "the number of threads must be 1 to 1024, got ", count);
  omp_set_num_threads(count);
}

int threads_at_work() {
  int count = 1;
#pragma omp parallel
#pragma omp single
  count = omp_get_num_threads();
  return count;
}

// How often a thread looks before it sleeps: images/s of train --preset quick on two cores (AVX-512), alone, beside one
// and beside two programs that count; medians of 3 to 4 rounds in turn:
//
// |                            | alone | one   | two                 |
// |----------------------------|-------|-------|---------------------|
// | 300,000, libgomp's default | 9,600 |       | none in 10 seconds  |
// | 3,000                      | 9,200 | 3,700 | 3,300               |
// | 2,000                      | 9,400 | 4,200 | 3,500               |
// | 1,000                      | 8,500 | 4,800 | 4,100               |
// | 0, OMP_WAIT_POLICY=passive | 5,800 | 6,100 | 3,700               |
void wait_briefly(char** argv) {
  for (const char* name : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"})
    if (std::getenv(name)) return;
  setenv("GOMP_SPINCOUNT", "2000", 1);  // libgomp's: how often a thread looks before it sleeps
  setenv("KMP_BLOCKTIME", "0", 1);      // libomp's: milliseconds
  execv("/proc/self/exe", argv);
}

}  // namespace bobbin
