#include "tensor/storage.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "tensor/backend.h"
#include "tensor/check.h"

namespace bobbin::memory {
namespace {

constexpr std::size_t line = 64;  // bytes of the cache's; aligned memory comes in whole ones

struct Cache {
  std::mutex mutex;
  std::unordered_map<std::size_t, std::vector<void*>> free_blocks;  // by exact size in bytes
  Stats stats;
};

// Never destroyed: a tensor in a static variable may outlive everything else.
Cache& cache() {
  static Cache* const instance = new Cache;
  return *instance;
}

void release_cached(Cache& c) {
  for (auto& [bytes, blocks] : c.free_blocks)
    for (void* block : blocks) backend::release(block);
  c.free_blocks.clear();
  c.stats.cached = 0;
}

// Linux promises memory it does not have and kills the process when it is touched; so what cannot
// fit is refused here, with a sentence.
void* from_system(Cache& c, std::size_t bytes) {
  const std::size_t all = backend::memory_size();
  void* block = c.stats.in_use + c.stats.cached + bytes > all ? nullptr : backend::allocate(bytes);
  if (!block) {
    release_cached(c);
    block = c.stats.in_use + bytes > all ? nullptr : backend::allocate(bytes);
  }
  constexpr std::size_t mb = 1 << 20;
  check(block != nullptr, "memory", "out of memory: a tensor of ", bytes / mb, " MB was wanted while ",
        c.stats.in_use / mb, " MB are in use, of ", all / mb, " MB; a smaller batch or model would fit");
  ++c.stats.system_allocations;
  return block;
}

}  // namespace

std::shared_ptr<real> allocate(Index count) {
  // A size beyond the machine is refused by from_system().
  const std::size_t per_line = line / sizeof(real);
  const std::size_t lines = (static_cast<std::size_t>(count) + per_line - 1) / per_line;
  const std::size_t bytes = std::max<std::size_t>(1, std::min(lines, SIZE_MAX / (2 * line))) * line;
  Cache& c = cache();
  void* block = nullptr;
  {
    const std::lock_guard lock(c.mutex);
    if (auto found = c.free_blocks.find(bytes); found != c.free_blocks.end() && !found->second.empty()) {
      block = found->second.back();  // the last one in is the warmest
      found->second.pop_back();
      c.stats.cached -= bytes;
    } else {
      block = from_system(c, bytes);
    }
    c.stats.in_use += bytes;
    c.stats.peak_in_use = std::max(c.stats.peak_in_use, c.stats.in_use);
  }
  return {static_cast<real*>(block), [bytes](real* returned) {
            Cache& c = cache();
            const std::lock_guard lock(c.mutex);
            c.free_blocks[bytes].push_back(returned);
            c.stats.in_use -= bytes;
            c.stats.cached += bytes;
          }};
}

Stats stats() {
  const std::lock_guard lock(cache().mutex);
  return cache().stats;
}

void reset_peak() {
  const std::lock_guard lock(cache().mutex);
  cache().stats.peak_in_use = cache().stats.in_use;
}

void release_cached() {
  const std::lock_guard lock(cache().mutex);
  release_cached(cache());
}

}  // namespace bobbin::memory
