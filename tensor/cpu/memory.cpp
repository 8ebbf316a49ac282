// The memory of the machine, which the program and the kernels share: nothing has to be carried to and fro.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "tensor/kernels.h"
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

void fill(real* y, real value, Index n) { std::fill_n(y, n, value); }

}  // namespace bobbin::cpu
