#pragma once
#include <cstdint>

#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

/// `count` neighbouring numbers, which a thread moves by one access of up to 16 bytes where they begin at a multiple of
/// so many. A kernel that only moves numbers is as fast as memory if enough of them are under way; four for each
/// access need a quarter of the instructions and of the index arithmetic.
template <class T, int count>
struct alignas(count * sizeof(T) < 16 ? count * sizeof(T) : 16) Neighbours {
  T at[count];

  __device__ Neighbours& operator+=(const Neighbours& other) {
#pragma unroll
    for (int j = 0; j < count; ++j) at[j] += other.at[j];
    return *this;
  }
};
template <class T>
using Four = Neighbours<T, 4>;

/// x[0] ... x[count-1] at once, for an x at a multiple of their alignment.
template <int count, class T>
__device__ Neighbours<T, count> read(const T* x) {
  return *reinterpret_cast<const Neighbours<T, count>*>(x);
}
template <int count, class T>
__device__ void write(T* y, const Neighbours<T, count>& numbers) {
  *reinterpret_cast<Neighbours<T, count>*>(y) = numbers;
}

/// Whether Fours may be at x.
template <class T>
__host__ __device__ bool aligned(const T* x) {
  return reinterpret_cast<std::uintptr_t>(x) % alignof(Four<T>) == 0;
}

/// x[0] ... x[3], or as many as there are before the end: where that is `left` numbers away or x is not aligned, one by
/// one. Those that are missing are 0.
template <class T>
__device__ Four<T> load4(const T* x, Index left) {
  if (left >= 4 && aligned(x)) return read<4>(x);
  Four<T> four{};
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (j < left) four.at[j] = x[j];
  return four;
}

template <class T>
__device__ void store4(T* y, const Four<T>& four, Index left) {
  if (left >= 4 && aligned(y)) return write(y, four);
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (j < left) y[j] = four.at[j];
}

/// Where the four numbers of a thread begin, and how many blocks there are, for kernels in which each has so many.
inline __device__ Index four_of_thread() { return 4 * thread_number(); }
inline unsigned blocks_of_fours(Index n) { return blocks(n, 4 * block_size); }

}  // namespace bobbin::cuda
