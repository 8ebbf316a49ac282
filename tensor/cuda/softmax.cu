// Softmax over rows, its logarithm, and the loss that is made of it: a warp for each row. A lane has every 32nd number
// of the row, and reads the row once more where the processor keeps what it has computed. Sums are in double: a lane of
// a wide row has thousands of numbers to add.
#include <cmath>
#include <limits>

#include "tensor/cuda/launch.h"
#include "tensor/math.h"

namespace bobbin::cuda {

// The largest of x[0] ... x[n-1], for all lanes.
__device__ real largest_of(const real* x, Index n) {
  real largest = -std::numeric_limits<real>::infinity();
  for (Index c = threadIdx.x; c < n; c += warp_size) largest = x[c] > largest ? x[c] : largest;
  return warp_max(largest);
}

// log Σ exp(x - shift), for all lanes: in double, as on the processor.
__device__ double log_sum(const real* x, real shift, Index n) {
  double sum = 0;
  for (Index c = threadIdx.x; c < n; c += warp_size) sum += math::exp(x[c] - shift);
  return std::log(warp_sum(sum));
}

// A row of which none counts gets equal weights.
__global__ void softmax_kernel(const real* x, const int* lens, real* y, Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;  // the whole warp
  x += row * cols;
  y += row * cols;
  const Index len = lens ? min(Index{lens[row]}, cols) : cols;
  if (len <= 0) {
    for (Index c = threadIdx.x; c < cols; c += warp_size) y[c] = 1 / static_cast<real>(cols);
    return;
  }
  const real largest = largest_of(x, len);
  double sum = 0;
  for (Index c = threadIdx.x; c < len; c += warp_size) sum += math::exp(x[c] - largest);
  const real scale = 1 / static_cast<real>(warp_sum(sum));
  for (Index c = threadIdx.x; c < cols; c += warp_size) y[c] = c < len ? math::exp(x[c] - largest) * scale : real{0};
}

// dX = y ⊙ (dY - Σ y ⊙ dY), and 0 for what does not count.
__global__ void softmax_backward_kernel(const real* y, const int* lens, const real* dY, real* dX, Index rows,
                                        Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;
  y += row * cols;
  dY += row * cols;
  dX += row * cols;
  const Index len = lens ? min(Index{lens[row]}, cols) : cols;
  double sum = 0;
  for (Index c = threadIdx.x; c < len; c += warp_size) sum += y[c] * dY[c];
  const real dot = static_cast<real>(warp_sum(sum));
  for (Index c = threadIdx.x; c < cols; c += warp_size) dX[c] = c < len ? y[c] * (dY[c] - dot) : real{0};
}

__global__ void log_softmax_kernel(const real* x, real* y, Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;
  x += row * cols;
  y += row * cols;
  const real largest = largest_of(x, cols), log = static_cast<real>(log_sum(x, largest, cols));
  for (Index c = threadIdx.x; c < cols; c += warp_size) y[c] = x[c] - largest - log;
}

__global__ void logsumexp_kernel(const real* x, real* y, Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;
  x += row * cols;
  const real largest = largest_of(x, cols), shift = std::isinf(largest) ? real{0} : largest;
  const double log = log_sum(x, shift, cols);
  if (threadIdx.x == 0) y[row] = static_cast<real>(shift + log);
}

// The share q that class c of a row has in its loss: by targets that are given, or, where these are null, by what the
// row's label stands for.
struct Shares {
  const real* targets;
  const int* labels;
  const real* weights;
  real smoothing;
  Index cols;

  __device__ bool counts(Index row) const { return targets || labels[row] >= 0; }
  __device__ real operator()(Index row, Index c) const {
    if (targets) return targets[row * cols + c];
    const real q = smoothing / static_cast<real>(cols) + (c == labels[row] ? 1 - smoothing : real{0});
    return weights && q != 0 ? q * weights[c] : q;  // 0 · inf is NaN
  }
};

__global__ void cross_entropy_kernel(const real* logits, const real* targets, const int* labels, const real* weights,
                                     real smoothing, real* loss, Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;
  const Shares q{targets, labels, weights, smoothing, cols};
  double total = 0;
  if (q.counts(row)) {  // the same for the whole warp
    const real* x = logits + row * cols;
    const real largest = largest_of(x, cols);
    const double log = log_sum(x, largest, cols);
    for (Index c = threadIdx.x; c < cols; c += warp_size)
      if (const real share = q(row, c); share != 0)
        total += share * (log + (double{largest} - x[c]));  // 0 · inf is NaN
    total = warp_sum(total);
  }
  if (threadIdx.x == 0) loss[row] = static_cast<real>(total);
}

__global__ void cross_entropy_backward_kernel(const real* logits, const real* targets, const int* labels,
                                              const real* weights, real smoothing, const real* dloss, real* dlogits,
                                              Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;
  const Shares q{targets, labels, weights, smoothing, cols};
  real* const dx = dlogits + row * cols;
  if (!q.counts(row)) {
    for (Index c = threadIdx.x; c < cols; c += warp_size) dx[c] = 0;
    return;
  }
  const real* x = logits + row * cols;
  const real largest = largest_of(x, cols), scale = dloss[row];
  double exps = 0, shares = 0;
  for (Index c = threadIdx.x; c < cols; c += warp_size) exps += math::exp(x[c] - largest), shares += q(row, c);
  const real of_softmax = static_cast<real>(warp_sum(shares) / warp_sum(exps));
  for (Index c = threadIdx.x; c < cols; c += warp_size)
    dx[c] = scale * (math::exp(x[c] - largest) * of_softmax - q(row, c));
}

void softmax(const real* x, const int* lens, real* y, Index rows, Index cols) {
  const auto device_lens = ints(lens, rows);
  launch("softmax", softmax_kernel, blocks(rows, warps), block_of_warps, x, device_lens.get(), y, rows, cols);
}

void softmax_backward(const real* y, const int* lens, const real* dY, real* dX, Index rows, Index cols) {
  const auto device_lens = ints(lens, rows);
  launch("softmax_backward", softmax_backward_kernel, blocks(rows, warps), block_of_warps, y, device_lens.get(), dY, dX,
         rows, cols);
}

void log_softmax(const real* x, real* y, Index rows, Index cols) {
  launch("log_softmax", log_softmax_kernel, blocks(rows, warps), block_of_warps, x, y, rows, cols);
}

void logsumexp(const real* x, real* y, Index rows, Index cols) {
  launch("logsumexp", logsumexp_kernel, blocks(rows, warps), block_of_warps, x, y, rows, cols);
}

void cross_entropy(const real* logits, const real* targets, real* loss, Index rows, Index cols) {
  launch("cross_entropy", cross_entropy_kernel, blocks(rows, warps), block_of_warps, logits, targets, nullptr, nullptr,
         real{0}, loss, rows, cols);
}

void cross_entropy_backward(const real* logits, const real* targets, const real* dloss, real* dlogits, Index rows,
                            Index cols) {
  launch("cross_entropy_backward", cross_entropy_backward_kernel, blocks(rows, warps), block_of_warps, logits, targets,
         nullptr, nullptr, real{0}, dloss, dlogits, rows, cols);
}

void cross_entropy_of_labels(const real* logits, const int* labels, const real* weights, real smoothing, real* loss,
                             Index rows, Index cols) {
  const auto device_labels = ints(labels, rows);
  launch("cross_entropy", cross_entropy_kernel, blocks(rows, warps), block_of_warps, logits, nullptr,
         device_labels.get(), weights, smoothing, loss, rows, cols);
}

void cross_entropy_of_labels_backward(const real* logits, const int* labels, const real* weights, real smoothing,
                                      const real* dloss, real* dlogits, Index rows, Index cols) {
  const auto device_labels = ints(labels, rows);
  launch("cross_entropy_backward", cross_entropy_backward_kernel, blocks(rows, warps), block_of_warps, logits, nullptr,
         device_labels.get(), weights, smoothing, dloss, dlogits, rows, cols);
}

}  // namespace bobbin::cuda
