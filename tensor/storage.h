#pragma once
#include <cstddef>
#include <memory>

#include "tensor/real.h"

namespace bobbin {

/// The memory behind tensors. A block that no tensor uses any more goes to a free list and is handed out again from
/// there, still warm in the cache, to the next that wants its size; a large one also in parts, which are joined again
/// when they are free. A training loop repeats its shapes, so after the first two steps nothing more is asked from the
/// system.
namespace memory {

/// A block of `count` reals, not initialised, aligned to a cache line of 64 bytes; it returns to
/// the free list with its last owner. Safe to call from several threads.
/// Throws Error when the machine does not have that much memory.
std::shared_ptr<real> allocate(Index count);
/// The same for numbers of another type, of which several fit into a real.
template <class T>
std::shared_ptr<T> allocate_as(Index count) {
  constexpr Index per_real = sizeof(real) / sizeof(T);
  const std::shared_ptr<real> block = allocate((count + per_real - 1) / per_real);
  return {block, reinterpret_cast<T*>(block.get())};
}

/// What memory is held, by this process.
struct Stats {
  std::size_t system_allocations = 0;  ///< number of blocks that came from the system
  std::size_t in_use = 0;              ///< bytes in blocks that tensors hold now
  std::size_t peak_in_use = 0;         ///< the largest in_use since the last reset_peak()
  std::size_t cached = 0;              ///< bytes that wait in the free lists
};
/// The numbers of now; and makes the peak what is in use now.
Stats stats();
void reset_peak();

/// Gives every waiting block back to the system.
void release_cached();

}  // namespace memory
}  // namespace bobbin
