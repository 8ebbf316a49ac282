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
