// The machine: its memory, which the program and the kernels share, so that nothing has to be carried to and fro; and
// what multiplies matrices.
#include "tensor/device.h"

#include <cblas.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tensor/cpu/container.h"
#include "tensor/cpu/onednn.h"
#include "tensor/storage.h"

namespace bobbin::cpu {
namespace {

// The bytes that the process has written to, data and libraries' buffers included: /proc/self/statm counts pages, of
// which those shared with files can be read again, and so do not count.
std::size_t memory_in_use() {
  std::size_t size = 0, resident = 0, shared = 0;
  std::ifstream("/proc/self/statm") >> size >> resident >> shared;
  return (resident - std::min(resident, shared)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

bool fits(std::size_t bytes) { return memory_in_use() + bytes <= memory_size(); }

}  // namespace

void* allocate(std::size_t bytes) {
  // A cache line, and the width of the widest vector register. Large blocks lie on pages of 2 MB, where the system has
  // some: walking over them the processor looks up an address less often, which spares a step of the ViT a twentieth.
  constexpr std::size_t line = 64, huge_page = std::size_t{1} << 21;
  const bool large = bytes >= 2 * huge_page;
  if (!fits(bytes) && (malloc_trim(0), !fits(bytes))) return nullptr;  // malloc keeps what was freed
  void* block = nullptr;
  if (posix_memalign(&block, large ? huge_page : line, bytes) != 0) return nullptr;
  if (large) madvise(block, bytes, MADV_HUGEPAGE);  // a wish
  return block;
}
void release(void* block) { std::free(block); }

std::size_t memory_size() {
  static const std::size_t machine =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  static const std::size_t bytes = std::min({machine, container_memory(), process_memory()});
  return bytes;
}

std::shared_ptr<real> host_block(Index n) { return memory::allocate(n); }
std::shared_ptr<real> to_device(std::shared_ptr<real> block, Index) { return block; }
void to_host(const real* x, real* host, Index n) { std::copy_n(x, n, host); }
Sent begin_to_host(const real* x, Index n) {
  const std::shared_ptr<real> numbers = host_block(n);
  std::copy_n(x, n, numbers.get());
  return {numbers, nullptr};
}
void wait() {}

using Clock = std::chrono::steady_clock;
std::shared_ptr<void> moment() { return std::make_shared<Clock::time_point>(Clock::now()); }
void wait_for(const std::shared_ptr<void>&) {}
double seconds_between(const std::shared_ptr<void>& begin, const std::shared_ptr<void>& end) {
  const auto at = [](const std::shared_ptr<void>& m) { return *static_cast<const Clock::time_point*>(m.get()); };
  return std::chrono::duration<double>(at(end) - at(begin)).count();
}

std::string describe() {
  std::string name, version;  // the configuration begins with "OpenBLAS 0.3.21"
  std::istringstream(openblas_get_config()) >> name >> version;
  const char* const threading[] = {"one thread only: install its OpenMP build",
                                   "threads of its own, which is slow: install its OpenMP build", "OpenMP"};
  const std::string blas =
      name + " " + version + " (" + threading[openblas_get_parallel()] + "), core type " + openblas_get_corename();
  if (ProductsIn::current() != Precision::bfloat16) return blas;
  if (onednn::multiplies()) return blas + "; bfloat16 by " + onednn::describe();
  return blas + "; bfloat16 rounded and multiplied as float32, so no faster: " + onednn::describe();
}

bool has(Precision precision) { return precision != Precision::tf32; }

}  // namespace bobbin::cpu
