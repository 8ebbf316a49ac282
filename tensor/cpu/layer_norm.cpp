// Layer normalisation (Ba, Kiros, Hinton, 2016) over the rows of (rows, cols).
#include <cmath>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

constexpr Index grain = 1 << 12;  // elements a thread should have at least

}  // namespace

void layer_norm(const real* x, const real* gamma, const real* beta, real eps, real* y, real* mean, real* rstd,
                Index rows, Index cols) {
  const real n = static_cast<real>(cols);
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const real* in = x + row * cols;
      real* out = y + row * cols;
      real sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
      for (Index c = 0; c < cols; ++c) sum += in[c];
      const real m = sum / n;
#pragma omp simd reduction(+ : squares)
      for (Index c = 0; c < cols; ++c) squares += (in[c] - m) * (in[c] - m);
      const real r = 1 / std::sqrt(squares / n + eps);
#pragma omp simd
      for (Index c = 0; c < cols; ++c) out[c] = (in[c] - m) * r * gamma[c] + beta[c];
      mean[row] = m;
      rstd[row] = r;
    }
  });
}

// With x̂ = (x - mean)·rstd the forward pass is y = x̂·gamma + beta. Mean and rstd depend on every x of the row, which
// brings two more terms into its gradient: with g = dY·gamma,
//     dX = rstd · (g - mean(g) - x̂ · mean(g·x̂)),   dgamma = Σ_rows dY·x̂,   dbeta = Σ_rows dY.
// The sums over rows are taken over blocks of rows first: a fixed partition, one pass over memory.
void layer_norm_backward(const real* x, const real* gamma, const real* mean, const real* rstd, const real* dY, real* dX,
                         real* dgamma, real* dbeta, Index rows, Index cols) {
  constexpr Index block = 64;
  const Index blocks = (rows + block - 1) / block;
  const real n = static_cast<real>(cols);
  thread_local std::vector<real> partial;  // (blocks, 2, cols): Σ dY·x̂ and Σ dY of each block; kept for the next call
  partial.resize(static_cast<std::size_t>(blocks * 2 * cols));
  real* const sums = partial.data();
  parallel_for(blocks, grain / (block * cols) + 1, [=](Index begin, Index end) {
    for (Index b = begin; b < end; ++b) {
      real* dgamma_b = sums + 2 * b * cols;
      real* dbeta_b = dgamma_b + cols;
      std::fill_n(dgamma_b, 2 * cols, real{0});
      for (Index row = b * block; row < std::min((b + 1) * block, rows); ++row) {
        const real *in = x + row * cols, *dy = dY + row * cols;
        const real m = mean[row], r = rstd[row];
        real g_sum = 0, gx_sum = 0;
#pragma omp simd reduction(+ : g_sum, gx_sum)
        for (Index c = 0; c < cols; ++c) {
          const real x_hat = (in[c] - m) * r, g = dy[c] * gamma[c];
          g_sum += g;
          gx_sum += g * x_hat;
          dgamma_b[c] += dy[c] * x_hat;
          dbeta_b[c] += dy[c];
        }
        real* dx = dX + row * cols;
#pragma omp simd
        for (Index c = 0; c < cols; ++c) dx[c] = r * (dy[c] * gamma[c] - g_sum / n - (in[c] - m) * r * (gx_sum / n));
      }
    }
  });
  std::vector<real> both(static_cast<std::size_t>(2 * cols));
  sum(sums, both.data(), 1, blocks, 2 * cols);
  std::copy_n(both.begin(), cols, dgamma);
  std::copy_n(both.begin() + cols, cols, dbeta);
}

}  // namespace bobbin::cpu
