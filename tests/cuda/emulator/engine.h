#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "types.h"

/// Runs kernels on the processor: each CUDA thread is a fiber, and all of them take turns on the one thread of the
/// program that launches. Barriers and exchanges within a warp are where fibers wait for one another.
///
/// CUDA_EMULATOR_SEED says in which order they take turns: 0 forward, 1 backward, others at random; for odd ones the
/// first warps run as far ahead as barriers let them. A kernel is right if its results are the same for all.
namespace emulator {

/// Ends the program with one sentence on stderr, and with the place in the kernel, if one runs.
[[noreturn]] void die(const std::string& what, const std::string& where);

// --- what a kernel asks for -------------------------------------------------------------------------------
struct Position {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
  unsigned lane;
};
/// Of the CUDA thread that runs now.
extern Position position;

inline const uint3& thread_index() { return position.thread; }
inline const uint3& block_index() { return position.block; }
inline const dim3& block_dim() { return position.block_dim; }
inline const dim3& grid_dim() { return position.grid_dim; }
inline unsigned lane() { return position.lane; }

/// Waits for all threads of the block. All must come to the same `site`, a place in the source: stricter than CUDA,
/// which counts arrivals only, and does not wait for threads that have returned.
void sync_block(const char* site);

/// Waits for the lanes of the mask, and shows the values with which each of them came; valid until the next call.
/// All must come to the same site with the same mask. An exchange of values does not order accesses to memory, as the
/// programming guide says of shuffles and votes; __syncwarp does.
const std::uint64_t* sync_warp(unsigned mask, std::uint64_t value, const char* site, bool orders_memory);

/// This block's array of that tag, full of NaN when it is first asked for.
void* shared(const void* tag, std::size_t bytes);

// --- launches ---------------------------------------------------------------------------------------------
/// An argument of a kernel that is a pointer.
struct PointerArgument {
  const void* address;
  bool writable;
};

struct Launch {
  const void* kernel;
  void (*call)(const void* kernel, void** arguments);  // as C++
  void** arguments;
  std::vector<PointerArgument> pointers;
  dim3 grid, block;
};

/// Runs all threads of all blocks. Dies if the kernel does what it may not do on a GPU: the README says what is
/// noticed. An impossible grid or block is an error that is returned, as by CUDA.
cudaError_t run(const Launch& launch);

}  // namespace emulator
