// Layer normalisation (Ba, Kiros, Hinton, 2016) over the rows of (rows, cols).
#include <cmath>
#include <vector>

#include "tensor/cpu/sums.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

constexpr Index grain = 1 << 12;  // elements a thread should have at least

struct TwoSums {
  double a = 0, b = 0;
};

// Σ (x - from) and Σ (x - from)², in runs as in tensor/cpu/sums.h.
TwoSums differences(const real* x, real from, Index n) {
  TwoSums sums;
  for (; n > 0; x += run, n -= run) {
    real rest = 0, squares = 0;
#pragma omp simd reduction(+ : rest, squares)
    for (Index c = 0; c < std::min(n, run); ++c) {
      rest += x[c] - from;
      squares += (x[c] - from) * (x[c] - from);
    }
    sums.a += rest;
    sums.b += squares;
  }
  return sums;
}

}  // namespace

// The corrected two-pass algorithm (Chan, Golub, LeVeque, 1983). A first mean is off by the rounding of its sum; the
// differences from it are small, and their mean is what it lacks. So the mean is right to its last digit, and a
// constant row, however large its numbers are, has no variance. By 1/n each, and not at the end, lest the sum overflow.
void layer_norm(const real* x, const real* gamma, const real* beta, real eps, real* y, real* mean, real* rstd,
                Index rows, Index cols) {
  const double share = 1 / static_cast<double>(cols);
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const real* in = x + row * cols;
      real* out = y + row * cols;
      const real n = static_cast<real>(share),
                 first = static_cast<real>(add_up(0, cols, [=](Index c) { return in[c] * n; }));
      const auto [rest, squares] = differences(in, first, cols);
      const double lacking = rest * share, variance = std::max(squares * share - lacking * lacking, 0.0);
      const real m = static_cast<real>(first + lacking), r = 1 / std::sqrt(static_cast<real>(variance) + eps);
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
namespace {

// Of a run of one row: adds Σ g and Σ g·x̂ to the sums, and dY·x̂ and dY to dgamma and dbeta.
void add_run(const real* x, const real* gamma, const real* dY, real mean, real rstd, real* dgamma, real* dbeta, Index n,
             TwoSums& sums) {
  real g_sum = 0, gx_sum = 0;
#pragma omp simd reduction(+ : g_sum, gx_sum)
  for (Index c = 0; c < n; ++c) {
    const real x_hat = (x[c] - mean) * rstd, g = dY[c] * gamma[c];
    g_sum += g;
    gx_sum += g * x_hat;
    dgamma[c] += dY[c] * x_hat;
    dbeta[c] += dY[c];
  }
  sums.a += g_sum;
  sums.b += gx_sum;
}

}  // namespace

void layer_norm_backward(const real* x, const real* gamma, const real* mean, const real* rstd, const real* dY, real* dX,
                         real* dgamma, real* dbeta, Index rows, Index cols) {
  constexpr Index block = 64;
  const Index blocks = (rows + block - 1) / block;
  const double n = static_cast<double>(cols);
  thread_local std::vector<real> partial;  // (blocks, 2, cols): Σ dY·x̂ and Σ dY of each block; kept for the next call
  partial.resize(static_cast<std::size_t>(blocks * 2 * cols));
  real* const blocks_sums = partial.data();
  parallel_for(blocks, grain / (block * cols) + 1, [=](Index begin, Index end) {
    for (Index b = begin; b < end; ++b) {
      real* dgamma_b = blocks_sums + 2 * b * cols;
      real* dbeta_b = dgamma_b + cols;
      std::fill_n(dgamma_b, 2 * cols, real{0});
      for (Index row = b * block; row < std::min((b + 1) * block, rows); ++row) {
        const real *in = x + row * cols, *dy = dY + row * cols;
        const real m = mean[row], r = rstd[row];
        TwoSums sums;  // Σ g and Σ g·x̂
        for (Index first = 0; first < cols; first += run)
          add_run(in + first, gamma + first, dy + first, m, r, dgamma_b + first, dbeta_b + first,
                  std::min(run, cols - first), sums);
        const real g_mean = static_cast<real>(sums.a / n), gx_mean = static_cast<real>(sums.b / n);
        real* dx = dX + row * cols;
#pragma omp simd
        for (Index c = 0; c < cols; ++c) dx[c] = r * (dy[c] * gamma[c] - g_mean - (in[c] - m) * r * gx_mean);
      }
    }
  });
  std::vector<real> both(static_cast<std::size_t>(2 * cols));
  sum(blocks_sums, both.data(), 1, blocks, 2 * cols);
  std::copy_n(both.begin(), cols, dgamma);
  std::copy_n(both.begin() + cols, cols, dbeta);
}

}  // namespace bobbin::cpu
