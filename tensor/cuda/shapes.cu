// Numbers moved, none changed: a thread for each number that is written.
#include <algorithm>

#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

__global__ void fill_kernel(real* y, real value, Index n) {
  if (const Index i = thread_number(); i < n) y[i] = value;
}

struct Axes {
  int rank;
  Index size[Shape::max_rank], stride[Shape::max_rank];
};

__global__ void permute_kernel(const real* x, real* y, Axes axes, Index n) {
  const Index i = thread_number();
  if (i >= n) return;
  Index rest = i, from = 0;
#pragma unroll
  for (int axis = Shape::max_rank - 1; axis > 0; --axis)
    if (axis < axes.rank) {
      from += rest % axes.size[axis] * axes.stride[axis];
      rest /= axes.size[axis];
    }
  y[i] = x[from + rest * axes.stride[0]];
}

__global__ void copy_rows_kernel(const real* x, Index ldx, real* y, Index ldy, Index cols, Index n) {
  const Index i = thread_number();
  if (i < n) y[i / cols * ldy + i % cols] = x[i / cols * ldx + i % cols];
}

// From place i of y (outer, padded, inner) to that of x which it shows.
__device__ Index shown(const Reflection& r, Index i) {
  const Index row = i / r.inner;
  return (row / r.padded() * r.n + r.source(row % r.padded())) * r.inner + i % r.inner;
}

__global__ void pad_reflect_kernel(const real* x, real* y, Reflection r, Index n) {
  if (const Index i = thread_number(); i < n) y[i] = x[shown(r, i)];
}

// Index j of x is shown by itself, and by the mirror before it and the one after it where these reach as far.
__global__ void pad_reflect_backward_kernel(const real* dY, real* dX, Reflection r, Index n) {
  const Index i = thread_number();
  if (i >= n) return;
  const Index j = i / r.inner % r.n, first = i / (r.inner * r.n) * r.padded() * r.inner + i % r.inner;
  const Index in_front = r.before - j, behind = r.before + 2 * (r.n - 1) - j;
  real sum = dY[first + (r.before + j) * r.inner];
  if (j > 0 && in_front >= 0) sum += dY[first + in_front * r.inner];
  if (j < r.n - 1 && behind < r.padded()) sum += dY[first + behind * r.inner];
  dX[i] = sum;
}

__global__ void gather_kernel(const real* x, const int* index, real* y, Index rows, Index cols) {
  if (const Index row = thread_number(); row < rows) y[row] = x[row * cols + index[row]];
}

__global__ void gather_backward_kernel(const real* dY, const int* index, real* dX, Index cols, Index n) {
  if (const Index i = thread_number(); i < n) dX[i] = i % cols == index[i / cols] ? dY[i / cols] : real{0};
}

void fill(real* y, real value, Index n) { launch("fill", fill_kernel, blocks(n, block_size), block_size, y, value, n); }

void permute(const real* x, real* y, int rank, const Index* sizes, const Index* strides) {
  Axes axes{rank, {}, {}};
  std::copy_n(sizes, rank, axes.size);
  std::copy_n(strides, rank, axes.stride);
  Index n = 1;
  for (int axis = 0; axis < rank; ++axis) n *= sizes[axis];
  launch("permute", permute_kernel, blocks(n, block_size), block_size, x, y, axes, n);
}

void copy_rows(const real* x, Index ldx, real* y, Index ldy, Index rows, Index cols) {
  const Index n = rows * cols;
  launch("copy_rows", copy_rows_kernel, blocks(n, block_size), block_size, x, ldx, y, ldy, cols, n);
}

void pad_reflect(const real* x, real* y, const Reflection& r) {
  const Index n = r.outer * r.padded() * r.inner;
  launch("pad_reflect", pad_reflect_kernel, blocks(n, block_size), block_size, x, y, r, n);
}

void pad_reflect_backward(const real* dY, real* dX, const Reflection& r) {
  const Index n = r.outer * r.n * r.inner;
  launch("pad_reflect_backward", pad_reflect_backward_kernel, blocks(n, block_size), block_size, dY, dX, r, n);
}

void gather(const real* x, const int* index, real* y, Index rows, Index cols) {
  const auto device_index = ints(index, rows);
  launch("gather", gather_kernel, blocks(rows, block_size), block_size, x, device_index.get(), y, rows, cols);
}

void gather_backward(const real* dY, const int* index, real* dX, Index rows, Index cols) {
  const auto device_index = ints(index, rows);
  const Index n = rows * cols;
  launch("gather_backward", gather_backward_kernel, blocks(n, block_size), block_size, dY, device_index.get(), dX, cols,
         n);
}

}  // namespace bobbin::cuda
