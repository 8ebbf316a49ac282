#include "tensor/threads.h"

#include <cblas.h>
#include <omp.h>

#include <sstream>

#include "tensor/check.h"
#include "tensor/kernels.h"

namespace bobbin {

int threads() { return omp_get_max_threads(); }

void set_threads(int count) {
  check(count >= 1 && count <= 1024, "set_threads", "the number of threads must be 1 to 1024, got ", count);
  omp_set_num_threads(count);
  openblas_set_num_threads(count);
}

std::string cpu::describe() {
  std::string name, version;  // the configuration begins with "OpenBLAS 0.3.21"
  std::istringstream(openblas_get_config()) >> name >> version;
  const char* const threading[] = {"one thread only: install its OpenMP build",
                                   "threads of its own, which is slow: install its OpenMP build", "OpenMP"};
  return name + " " + version + " (" + threading[openblas_get_parallel()] + "), core type " + openblas_get_corename();
}

void cpu::use_tf32(bool on) {
  check(!on, "use_tf32",
        "TF32 is a number format of NVIDIA's GPUs; this build computes on the processor, one with CUDA=1 on a GPU");
}

}  // namespace bobbin
