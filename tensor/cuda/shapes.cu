// Numbers moved, none changed: a thread for each number that is written, or for four.
#include <algorithm>
#include <vector>

#include "tensor/cuda/four.h"

namespace bobbin::cuda {

__global__ void fill_kernel(real* y, real value, Index n) {
  if (const Index i = four_of_thread(); i < n) store4(y + i, {{value, value, value, value}}, n - i);
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

// A thread has `numbers` neighbours in a row: four, where rows have 4, 8, 12, ..., else one.
__global__ void copy_rows_kernel(const real* x, Index ldx, real* y, Index ldy, Index cols, int numbers, Index n) {
  const Index i = numbers * thread_number(), row = i / cols, column = i % cols;
  if (i < n) store4(y + row * ldy + column, load4(x + row * ldx + column, numbers), numbers);
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

__global__ void index_select_kernel(const real* x, const int* index, real* y, Selection s, Index n) {
  const Index i = thread_number();
  if (i >= n) return;
  const Index row = i / s.inner;
  y[i] = x[(row / s.count * s.n + index[row % s.count]) * s.inner + i % s.inner];
}

__global__ void index_select_backward_kernel(const real* dY, const int* index, const int* places, const int* starts,
                                             real* dX, Selection s, Index taken, Index n) {
  const Index i = thread_number();
  if (i >= n) return;
  const Index row = i / s.inner, outer = row / taken, t = row % taken, column = i % s.inner;
  real sum = 0;
  for (int p = starts[t]; p < starts[t + 1]; ++p) sum += dY[(outer * s.count + places[p]) * s.inner + column];
  dX[(outer * s.n + index[places[starts[t]]]) * s.inner + column] = sum;
}

void fill(real* y, real value, Index n) { launch("fill", fill_kernel, blocks_of_fours(n), block_size, y, value, n); }

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
  const int numbers = cols % 4 == 0 ? 4 : 1;
  launch("copy_rows", copy_rows_kernel, blocks(n, numbers * block_size), block_size, x, ldx, y, ldy, cols, numbers, n);
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

void index_select(const real* x, const int* index, real* y, const Selection& s) {
  const auto device_index = ints(index, s.count);
  const Index n = s.outer * s.count * s.inner;
  launch("index_select", index_select_kernel, blocks(n, block_size), block_size, x, device_index.get(), y, s, n);
}

// The places i of an index that is taken stand side by side once they are sorted by index[i]: so one thread adds them
// up, in their order. What no index takes is 0.
void index_select_backward(const real* dY, const int* index, real* dX, const Selection& s) {
  std::vector<int> places;
  for (Index i = 0; i < s.count; ++i)
    if (index[i] >= 0) places.push_back(static_cast<int>(i));
  std::stable_sort(places.begin(), places.end(), [=](int a, int b) { return index[a] < index[b]; });
  std::vector<int> starts;  // of the places with one index, and where the last end
  for (std::size_t i = 0; i < places.size(); ++i)
    if (i == 0 || index[places[i]] != index[places[i - 1]]) starts.push_back(static_cast<int>(i));
  const Index taken = static_cast<Index>(starts.size());
  starts.push_back(static_cast<int>(places.size()));
  fill(dX, 0, s.outer * s.n * s.inner);
  if (taken == 0) return;
  const auto device_index = ints(index, s.count),
             device_places = ints(places.data(), static_cast<Index>(places.size())),
             device_starts = ints(starts.data(), taken + 1);
  const Index n = s.outer * taken * s.inner;
  launch("index_select_backward", index_select_backward_kernel, blocks(n, block_size), block_size, dY,
         device_index.get(), device_places.get(), device_starts.get(), dX, s, taken, n);
}

}  // namespace bobbin::cuda
