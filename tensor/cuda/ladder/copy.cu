// To copy is to wait for memory, and nothing else. A warp's 32 accesses are served together, in sectors of 32 bytes:
// what counts is how many sectors they touch, how much of each is asked for, and how many bytes are under way at a
// time.
#include "tensor/cuda/ladder/ladder.h"
#include "tensor/cuda/launch.h"

namespace bobbin::cuda::ladder {

// 1 byte a thread: a warp asks for one sector. 4 bytes: for four, each of them whole. 16 bytes: for sixteen, by one
// instruction.
template <class T>
__global__ void copy_kernel(const T* x, T* y, Index n) {
  if (const Index i = thread_number(); i < n) y[i] = x[i];
}

// 4 bytes a thread, and a warp asks for 32 sectors, of each of which it wants an eighth. (It writes as the one above.)
__global__ void copy_strided_kernel(const real* x, real* y, unsigned n) {
  const unsigned i = blockIdx.x * block_size + threadIdx.x, rows = n / 32;
  if (i < n) y[i] = x[i % rows * 32 + i / rows];
}

__global__ void random_kernel(real* x, Index n, Draw draw) {
  if (const Index i = thread_number(); i < n)
    x[i] = static_cast<real>(draw.block(static_cast<std::uint64_t>(i))[0]) * static_cast<real>(0x1p-31) - 1;
}

template <class T>
void copy(const T* x, T* y, Index n) {
  launch("copy", copy_kernel<T>, blocks(n, block_size), block_size, x, y, n);
}
template void copy(const std::uint8_t*, std::uint8_t*, Index);
template void copy(const real*, real*, Index);
template void copy(const float4*, float4*, Index);

void copy_strided(const real* x, real* y, Index n) {
  launch("copy_strided", copy_strided_kernel, blocks(n, block_size), block_size, x, y, static_cast<unsigned>(n));
}

void fill_random(real* x, Index n, Draw draw) {
  launch("random", random_kernel, blocks(n, block_size), block_size, x, n, draw);
}

}  // namespace bobbin::cuda::ladder
