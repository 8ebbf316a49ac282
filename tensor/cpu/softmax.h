#pragma once
#include <algorithm>

#include "tensor/math.h"
#include "tensor/real.h"

/// One row of softmax, for the kernels that contain it: softmax and attention.
namespace bobbin::cpu {

/// y = exp(x - max) / Σ exp(x - max) over the first `len` of n numbers, 0 behind them. x may be y.
/// Subtracting the maximum changes nothing but keeps exp from overflowing. With no number that counts
/// (len <= 0) all get the weight 1/n, as in the chapter, where masked scores are all set to -10^6.
inline void softmax_row(const real* x, real* y, Index len, Index n) {
  if (len <= 0) {
    std::fill_n(y, n, real{1} / static_cast<real>(n));
    return;
  }
  len = std::min(len, n);
  real max = x[0], sum = 0;
#pragma omp simd reduction(max : max)
  for (Index i = 1; i < len; ++i) max = x[i] > max ? x[i] : max;
#pragma omp simd reduction(+ : sum)
  for (Index i = 0; i < len; ++i) sum += y[i] = math::exp(x[i] - max);
  const real scale = 1 / sum;
#pragma omp simd
  for (Index i = 0; i < len; ++i) y[i] *= scale;
  std::fill(y + len, y + n, real{0});
}

/// dX = y ⊙ (dY - Σ y ⊙ dY), from ∂y_i/∂x_j = y_i (δ_ij - y_j); 0 for what does not count.
/// dX may be dY.
inline void softmax_row_backward(const real* y, const real* dY, real* dX, Index len, Index n) {
  len = std::clamp<Index>(len, 0, n);
  real dot = 0;
#pragma omp simd reduction(+ : dot)
  for (Index i = 0; i < len; ++i) dot += y[i] * dY[i];
#pragma omp simd
  for (Index i = 0; i < len; ++i) dX[i] = y[i] * (dY[i] - dot);
  std::fill(dX + len, dX + n, real{0});
}

}  // namespace bobbin::cpu
