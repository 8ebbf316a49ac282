// Softmax over rows, and the loss that is made of it.
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

// The logarithm of a softmax is x_c - max - log Σ exp(x - max): no small probability is ever formed
// whose logarithm would be -inf. With the target q = 1-s at the label plus s/C everywhere,
//     loss = logsumexp - (1-s)·x_label - s·mean(x).
void cross_entropy(const real* logits, const int* labels, real smoothing, real* loss, Index rows, Index cols) {
  for (Index row = 0; row < rows; ++row) {
    const real* x = logits + row * cols;
    const double max = *std::max_element(x, x + cols);
    double exps = 0, sum = 0;
    for (Index c = 0; c < cols; ++c) {
      exps += std::exp(x[c] - max);
      sum += x[c];
    }
    // A class of -inf that is not asked for costs nothing; but 0 · -inf would be NaN.
    double target = 0;  // Σ q·x
    if (smoothing < 1) target += (1 - double{smoothing}) * x[labels[row]];
    if (smoothing > 0) target += smoothing * sum / static_cast<double>(cols);
    loss[row] = static_cast<real>(max + std::log(exps) - target);
  }
}

void cross_entropy_backward(const real* logits, const int* labels, real smoothing, const real* dloss, real* dlogits,
                            Index rows, Index cols) {
  const real scale = *dloss / static_cast<real>(rows);
  for (Index row = 0; row < rows; ++row) {
    real* dX = dlogits + row * cols;
    softmax_rows(logits + row * cols, dX, 1, cols, [=](Index) { return cols; });
    for (Index c = 0; c < cols; ++c) dX[c] = scale * (dX[c] - smoothing / static_cast<real>(cols));
    dX[labels[row]] -= scale * (1 - smoothing);
  }
}

}  // namespace bobbin::cpu
