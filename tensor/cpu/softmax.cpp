// Softmax over rows, its logarithm, and the loss that is made of it.
#include "tensor/cpu/softmax.h"

#include <cmath>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

constexpr Index grain = 1 << 12;  // elements a thread should have at least

}  // namespace

void softmax(const real* x, const int* lens, real* y, Index rows, Index cols) {
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    const Index block = grain / cols + 1;  // rows that stay in the cache
    for (Index row = begin; row < end; row += block)
      softmax_rows(x + row * cols, y + row * cols, std::min(block, end - row), cols,
                   [=](Index i) { return lens ? Index{lens[row + i]} : cols; });
  });
}

void softmax_backward(const real* y, const int* lens, const real* dY, real* dX, Index rows, Index cols) {
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      softmax_row_backward(y + row * cols, dY + row * cols, dX + row * cols, lens ? lens[row] : cols, cols);
  });
}

// The logarithm of a softmax is x_c - max - log Σ exp(x - max): no small probability is ever formed whose logarithm
// would be -inf.
void log_softmax(const real* x, real* y, Index rows, Index cols) {
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const real* in = x + row * cols;
      real* out = y + row * cols;
      const real max = largest_of(in, cols), log = static_cast<real>(log_sum(in, max, cols));
#pragma omp simd
      for (Index c = 0; c < cols; ++c) out[c] = in[c] - max - log;
    }
  });
}

void logsumexp(const real* x, real* y, Index rows, Index cols) {
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const real* in = x + row * cols;
      const real max = largest_of(in, cols), shift = std::isinf(max) ? real{0} : max;  // inf - inf would be NaN
      y[row] = static_cast<real>(shift + log_sum(in, shift, cols));
    }
  });
}

void cross_entropy(const real* logits, const real* targets, real* loss, Index rows, Index cols) {
  for (Index row = 0; row < rows; ++row) {
    const real *x = logits + row * cols, *q = targets + row * cols;
    const real max = largest_of(x, cols);
    const double log = log_sum(x, max, cols);
    double total = 0;
    for (Index c = 0; c < cols; ++c)
      if (q[c] != 0) total += q[c] * (log + (double{max} - x[c]));  // 0 · inf would be NaN
    loss[row] = static_cast<real>(total);
  }
}

void cross_entropy_backward(const real* logits, const real* targets, const real* dloss, real* dlogits, Index rows,
                            Index cols) {
  const real scale = *dloss / static_cast<real>(rows);
  for (Index row = 0; row < rows; ++row) {
    const real* q = targets + row * cols;
    real* dX = dlogits + row * cols;
    softmax_rows(logits + row * cols, dX, 1, cols, [=](Index) { return cols; });
    // Two loops, so that the product is rounded first: one fused multiply-add would give other last bits.
    for (Index c = 0; c < cols; ++c) dX[c] *= scale;
    for (Index c = 0; c < cols; ++c) dX[c] -= scale * q[c];
  }
}

}  // namespace bobbin::cpu
