// Softmax over rows, its logarithm, and the loss that is made of it.
#include "tensor/cpu/softmax.h"

#include <cmath>

#include "tensor/cpu/workspace.h"
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

namespace {

// What a row is compared with: the shares q of the classes first ... last-1, of which all others have none, and Σq.
struct Shares {
  const real* q;
  Index first, last;
  real total;
};

// -Σ q·log softmax(x). A share of 0 costs nothing: 0 · inf would be NaN.
real loss_of_row(const real* x, const Shares& shares, Index cols) {
  const real max = largest_of(x, cols), *const q = shares.q;
  const double log = log_sum(x, max, cols);
  const auto loss = [=](Index c) { return q[c] != 0 ? q[c] * (log + (double{max} - x[c])) : 0; };
  const bool one = shares.last - shares.first == 1;
  return static_cast<real>(one ? loss(shares.first) : add_up(shares.first, shares.last, loss));
}

// dX = scale·(Σq·softmax(x) - q).
void gradient_of_row(const real* x, const Shares& shares, real scale, real* dX, Index cols) {
  softmax_rows(x, dX, 1, cols, [=](Index) { return cols; });
  // Two loops, so that the product is rounded first: one fused multiply-add would give other last bits.
  const real of_softmax = scale * shares.total, *const q = shares.q;
  for (Index c = 0; c < cols; ++c) dX[c] *= of_softmax;
  for (Index c = shares.first; c < shares.last; ++c) dX[c] -= scale * q[c];
}

// A distribution, whose sum is 1 but for rounding, counts as if it were 1.
Shares shares_of(const real* targets, Index cols) {
  const double total = add_up(0, cols, [=](Index c) { return double{targets[c]}; });
  return {targets, 0, cols, std::abs(total - 1) < 1e-5 ? real{1} : static_cast<real>(total)};
}

// The shares that a label stands for, in memory of `cols` numbers: what smoothing gives to all classes is written there
// once, and what the label gets only as long as its row is worked on.
class LabelShares {
 public:
  LabelShares(const real* weights, real smoothing, real* memory, Index cols)
      : weights_(weights), smoothing_(smoothing), q_(memory), cols_(cols) {
    const real all = smoothing / static_cast<real>(cols);
    for (Index c = 0; c < cols; ++c) q_[c] = weights && all != 0 ? all * weights[c] : all;  // 0 · inf is NaN
    if (weights) smoothed_ = static_cast<real>(add_up(0, cols, [this](Index c) { return double{q_[c]}; }));
  }

  void use(Index label, const auto& body) const {
    const real before = q_[label], own = weights_ ? (1 - smoothing_) * weights_[label] : 1 - smoothing_;
    q_[label] += own;
    const bool alone = smoothing_ == 0;
    body(Shares{q_, alone ? label : 0, alone ? label + 1 : cols_, weights_ ? smoothed_ + own : 1});
    q_[label] = before;
  }

 private:
  const real* weights_;
  real smoothing_, *q_, smoothed_ = 0;
  Index cols_;
};

// with_label(row, shares) for each row that has one, without_label(row) for the others.
void for_each_label(const int* labels, const real* weights, real smoothing, Index rows, Index cols,
                    const auto& with_label, const auto& without_label) {
  const Workspace<real> memory(cols);
  parallel_for(rows, grain / cols + 1, [&](Index begin, Index end) {
    const LabelShares shares(weights, smoothing, memory.mine(), cols);
    for (Index row = begin; row < end; ++row)
      if (labels[row] < 0)
        without_label(row);
      else
        shares.use(labels[row], [&](const Shares& s) { with_label(row, s); });
  });
}

}  // namespace

void cross_entropy(const real* logits, const real* targets, real* loss, Index rows, Index cols) {
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      loss[row] = loss_of_row(logits + row * cols, {targets + row * cols, 0, cols, 1}, cols);
  });
}

void cross_entropy_backward(const real* logits, const real* targets, const real* dloss, real* dlogits, Index rows,
                            Index cols) {
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      gradient_of_row(logits + row * cols, shares_of(targets + row * cols, cols), dloss[row], dlogits + row * cols,
                      cols);
  });
}

void cross_entropy_of_labels(const real* logits, const int* labels, const real* weights, real smoothing, real* loss,
                             Index rows, Index cols) {
  for_each_label(
      labels, weights, smoothing, rows, cols,
      [=](Index row, const Shares& s) { loss[row] = loss_of_row(logits + row * cols, s, cols); },
      [=](Index row) { loss[row] = 0; });
}

void cross_entropy_of_labels_backward(const real* logits, const int* labels, const real* weights, real smoothing,
                                      const real* dloss, real* dlogits, Index rows, Index cols) {
  for_each_label(
      labels, weights, smoothing, rows, cols,
      [=](Index row, const Shares& s) {
        gradient_of_row(logits + row * cols, s, dloss[row], dlogits + row * cols, cols);
      },
      [=](Index row) { std::fill_n(dlogits + row * cols, cols, real{0}); });
}

}  // namespace bobbin::cpu
