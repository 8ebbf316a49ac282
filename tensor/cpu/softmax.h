#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/cpu/sums.h"
#include "tensor/math.h"
#include "tensor/real.h"

/// Softmax of rows that are in the cache, for the kernels that contain it: softmax, attention, cross entropy; and its
/// logarithm.
namespace bobbin::cpu {

/// The largest of x[0] ... x[n-1]. A NaN may be passed over.
inline real largest_of(const real* x, Index n) {
  real largest = x[0];
#pragma omp simd reduction(max : largest)
  for (Index c = 1; c < n; ++c) largest = x[c] > largest ? x[c] : largest;
  return largest;
}

/// log Σ exp(x - shift), where shift is the largest, so that no exponential overflows. In double, so that of a sum near
/// 1 no digit is lost: the logarithm has an absolute error of 2e-7 and a relative one of 1e-6, whichever is smaller.
inline double log_sum(const real* x, real shift, Index n) {
  return std::log(add_up(0, n, [=](Index c) { return double{math::exp(x[c] - shift)}; }));
}

/// y = exp(x - max) / Σ exp(x - max) over the first len(row) numbers of each row of (rows, cols), 0 behind them. x may
/// be y. Subtracting the maximum changes nothing but keeps exp from overflowing. With no number that counts (len <= 0)
/// all get the weight 1/cols, as in d2l.ai, where masked scores are all set to -10^6.
template <class Len>
void softmax_rows(const real* x, real* y, Index rows, Index cols, const Len& len) {
  constexpr real infinity = std::numeric_limits<real>::infinity();
  for (Index row = 0; row < rows; ++row) {
    const real* in = x + row * cols;
    real* out = y + row * cols;
    const Index n = std::min(len(row), cols);
    if (n <= 0) {
      std::fill_n(out, cols, real{0});
      continue;
    }
    const real max = largest_of(in, n);
#pragma omp simd
    for (Index c = 0; c < n; ++c) out[c] = in[c] - max;
    std::fill(out + n, out + cols, -infinity);
  }
  // All rows at once: of a row of 37 a vector loop would leave the last 5 to be computed one by one.
#pragma omp simd
  for (Index i = 0; i < rows * cols; ++i) y[i] = math::exp(y[i]);
  for (Index row = 0; row < rows; ++row) {
    real* out = y + row * cols;
    const Index n = len(row) <= 0 ? cols : std::min(len(row), cols);  // what is behind is 0, even if the sum is NaN
    const real scale = 1 / static_cast<real>(add_up(0, n, [=](Index c) { return out[c]; }));
#pragma omp simd
    for (Index c = 0; c < n; ++c) out[c] *= scale;
  }
}

/// dX = y ⊙ (dY - Σ y ⊙ dY) for one row, from ∂y_i/∂x_j = y_i (δ_ij - y_j); 0 for what does not count. dX may be dY.
inline void softmax_row_backward(const real* y, const real* dY, real* dX, Index len, Index n) {
  len = std::clamp<Index>(len, 0, n);
  const real dot = static_cast<real>(add_up(0, len, [=](Index i) { return y[i] * dY[i]; }));
#pragma omp simd
  for (Index i = 0; i < len; ++i) dX[i] = y[i] * (dY[i] - dot);
  std::fill(dX + len, dX + n, real{0});
}

}  // namespace bobbin::cpu
