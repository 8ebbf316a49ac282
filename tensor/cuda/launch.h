#pragma once
#include <type_traits>

#include "tensor/cuda/device.h"

/// An array that the threads of a block share: SHARED(real[8][33], tile) is `__shared__ real tile[8][33];`.
/// Where the kernels run on a processor, in the tests, each block gets an array of its own, with guards around it.
#ifndef SHARED
#define SHARED(type, name) __shared__ std::type_identity_t<type> name
#endif

namespace bobbin::cuda {

/// Puts kernel(args...) into the stream, for grid.x·y·z blocks of block.x·y·z threads: what `kernel<<<grid, block, 0,
/// stream()>>>(args...)` does. Throws Error with the name if the GPU cannot do that.
template <class... P>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, std::type_identity_t<P>... args) {
  void* pointers[] = {&args...};
  check_cuda(cudaLaunchKernel(kernel, grid, block, pointers, 0, stream()), name);
}

/// How many blocks of `size` cover n. Throws Error beyond 2^31 - 1, the most that a grid can have.
inline unsigned blocks(Index n, Index size) {
  const Index count = (n + size - 1) / size;
  check(count <= 0x7fffffff, "cuda", "a tensor of ", n, " numbers is more than one kernel can walk");
  return static_cast<unsigned>(count);
}

constexpr int warp_size = 32;

/// For kernels in which each thread works for itself: how many are in a block, and which of all threads this one is.
constexpr unsigned block_size = 256;
inline __device__ Index thread_number() { return Index{blockIdx.x} * block_size + threadIdx.x; }

/// For kernels in which each warp works for itself: threadIdx.x is the lane, threadIdx.y the warp in its block.
constexpr int warps = 8;
constexpr dim3 block_of_warps{warp_size, warps};
inline __device__ Index warp_number() { return Index{blockIdx.x} * warps + threadIdx.y; }

/// The sum or the largest of what the 32 threads of a warp hold, for each of them.
template <class T>
__device__ T warp_sum(T x) {
  for (int distance = warp_size / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffff, x, distance);
  return x;
}
template <class T>
__device__ T warp_max(T x) {
  for (int distance = warp_size / 2; distance > 0; distance /= 2) {
    const T other = __shfl_xor_sync(0xffffffff, x, distance);
    x = other > x ? other : x;
  }
  return x;
}

/// Calls f(c, k) for the columns c = lane + 32·k that a lane has of a row of n numbers. The loop is unrolled for rows
/// of up to `held` numbers, if that is given: what an array has under k can then be in registers.
template <int held = 0, class F>
__device__ void for_columns(Index n, const F& f) {
  if constexpr (held > 0) {
#pragma unroll
    for (int k = 0; k < held / warp_size; ++k)
      if (const int c = static_cast<int>(threadIdx.x) + k * warp_size; c < static_cast<int>(n)) f(c, k);
  } else {
    int k = 0;
    for (Index c = threadIdx.x; c < n; c += warp_size) f(c, k++);
  }
}

/// The mean of f(c, k) over the columns of a row of n numbers, for all lanes: a first one, which the rounding of its
/// sum leaves a little off, and the mean of the differences from it, which is what it lacks.
template <int held = 0, class F>
__device__ real warp_mean(Index n, const F& f) {
  const real share = 1 / static_cast<real>(n);
  real first = 0, lacking = 0;
  for_columns<held>(n, [&](Index c, int k) { first += f(c, k) * share; });  // not of the sum, lest it overflow
  first = warp_sum(first);
  for_columns<held>(n, [&](Index c, int k) { lacking += f(c, k) - first; });
  lacking = warp_sum(lacking) * share;
  return std::isinf(first) ? first : first + lacking;  // which inf - inf would make NaN
}

}  // namespace bobbin::cuda
