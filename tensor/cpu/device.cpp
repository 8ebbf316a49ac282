// The machine: its memory, which the program and the kernels share, so that nothing has to be carried to and fro; and
// what multiplies matrices.
#include "tensor/device.h"

#include <cblas.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "tensor/storage.h"

namespace bobbin::cpu {

void* allocate(std::size_t bytes) {
  constexpr std::size_t alignment = 64;  // a cache line, and the width of the widest vector register
  return std::aligned_alloc(alignment, bytes);
}
void release(void* block) { std::free(block); }

std::size_t memory_size() {
  static const std::size_t bytes =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

std::shared_ptr<real> host_block(Index n) { return memory::allocate(n); }
std::shared_ptr<real> to_device(std::shared_ptr<real> block, Index) { return block; }
void to_host(const real* x, real* host, Index n) { std::copy_n(x, n, host); }
void wait() {}

std::string describe() {
  std::string name, version;  // the configuration begins with "OpenBLAS 0.3.21"
  std::istringstream(openblas_get_config()) >> name >> version;
  const char* const threading[] = {"one thread only: install its OpenMP build",
                                   "threads of its own, which is slow: install its OpenMP build", "OpenMP"};
  return name + " " + version + " (" + threading[openblas_get_parallel()] + "), core type " + openblas_get_corename();
}

bool has(Precision precision) { return precision == Precision::fp32; }

}  // namespace bobbin::cpu
