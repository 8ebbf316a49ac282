#include "tensor/threads.h"

#include <cblas.h>
#include <omp.h>

#include "tensor/check.h"

namespace bobbin {

int threads() { return omp_get_max_threads(); }

void set_threads(int count) {
  check(count >= 1 && count <= 1024, "set_threads", "the number of threads must be 1 to 1024, got ", count);
  omp_set_num_threads(count);
  openblas_set_num_threads(count);
}

}  // namespace bobbin
