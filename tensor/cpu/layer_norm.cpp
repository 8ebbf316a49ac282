// Layer normalisation (Ba, Kiros, Hinton, 2016) over the rows of (rows, cols).
#include <cmath>
#include <vector>

#include "tensor/cpu/sums.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

constexpr Index grain = 1 << 12;  // elements a thread should have at least

// Sums over a row, to which runs of it (tensor/cpu/sums.h) are added.
struct Differences {
  double sum = 0, squares = 0;

  void add_run(const real* x, real from, Index n) {
    real s = 0, q = 0;
#pragma omp simd reduction(+ : s, q)
    for (Index c = 0; c < n; ++c) {
      s += x[c] - from;
      q += (x[c] - from) * (x[c] - from);
    }
    sum += s;
    squares += q;
  }
};

struct Gradients {
  double g = 0, g_x_hat = 0;

  // And of the parameters, number by number: dgamma += dY·x̂, dbeta += dY.
  void add_run(const real* x, const real* gamma, const real* dY, real mean, real rstd, real* dgamma, real* dbeta,
               Index n) {
    real s = 0, t = 0;
#pragma omp simd reduction(+ : s, t)
    for (Index c = 0; c < n; ++c) {
      const real x_hat = (x[c] - mean) * rstd, g_c = dY[c] * gamma[c];
      s += g_c;
      t += g_c * x_hat;
      dgamma[c] += dY[c] * x_hat;
      dbeta[c] += dY[c];
    }
    g += s;
    g_x_hat += t;
  }
};

}  // namespace

// The corrected two-pass algorithm (Chan, Golub, LeVeque, 1983). A first mean is off by the rounding of its sum; the
// differences from it are small, and their mean is what it lacks. So the mean is right to its last digit, and a
// constant row, however large its numbers are, has no variance. By 1/n each, and not at the end, lest the sum overflow.
template <class Y>
void layer_norm(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean, real* rstd, Index rows,
                Index cols) {
  const double per_n = 1 / static_cast<double>(cols);
  parallel_for(rows, grain / cols + 1, [=, share = static_cast<real>(per_n)](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const real* in = x + row * cols;
      Y* out = y + row * cols;
      const real first = static_cast<real>(add_up(0, cols, [=](Index c) { return in[c] * share; }));
      Differences from_first;
      for (Index c = 0; c < cols; c += run) from_first.add_run(in + c, first, std::min(run, cols - c));
      const double lacking = from_first.sum * per_n;
      const double variance = std::max(from_first.squares * per_n - lacking * lacking, 0.0);
      const real m = static_cast<real>(first + lacking), r = 1 / std::sqrt(static_cast<real>(variance) + eps);
#pragma omp simd
      for (Index c = 0; c < cols; ++c) store(out[c], (in[c] - m) * r * gamma[c] + beta[c]);
      mean[row] = m;
      rstd[row] = r;
    }
  });
}
template void layer_norm(const real*, const real*, const real*, real, real*, real*, real*, Index, Index);
template void layer_norm(const real*, const real*, const real*, real, bfloat16*, real*, real*, Index, Index);

// With x̂ = (x - mean)·rstd the forward pass is y = x̂·gamma + beta. Mean and rstd depend on every x of the row, which
// brings two more terms into its gradient: with g = dY·gamma,
//     dX = rstd · (g - mean(g) - x̂ · mean(g·x̂)),   dgamma = Σ_rows dY·x̂,   dbeta = Σ_rows dY.
// The sums over rows are taken over blocks of rows first: a fixed partition, one pass over memory.
void layer_norm_backward(const real* x, const real* gamma, const real* mean, const real* rstd, const real* dY, real* dX,
                         real* dgamma, real* dbeta, Index rows, Index cols) {
  constexpr Index block = 64;
  const Index blocks = (rows + block - 1) / block;
  const double n = static_cast<double>(cols);
  thread_local std::vector<real> partial;  // (blocks, 2, cols): Σ dY·x̂ and Σ dY of each block; kept for the next call
  partial.resize(static_cast<std::size_t>(blocks * 2 * cols));
  real* const parts = partial.data();
  parallel_for(blocks, grain / (block * cols) + 1, [=](Index begin, Index end) {
    for (Index b = begin; b < end; ++b) {
      real* dgamma_b = parts + 2 * b * cols;
      real* dbeta_b = dgamma_b + cols;
      std::fill_n(dgamma_b, 2 * cols, real{0});
      for (Index row = b * block; row < std::min((b + 1) * block, rows); ++row) {
        const real *in = x + row * cols, *dy = dY + row * cols;
        const real m = mean[row], r = rstd[row];
        Gradients sums;
        for (Index c = 0; c < cols; c += run)
          sums.add_run(in + c, gamma + c, dy + c, m, r, dgamma_b + c, dbeta_b + c, std::min(run, cols - c));
        const real g_mean = static_cast<real>(sums.g / n), gx_mean = static_cast<real>(sums.g_x_hat / n);
        real* dx = dX + row * cols;
#pragma omp simd
        for (Index c = 0; c < cols; ++c) dx[c] = r * (dy[c] * gamma[c] - g_mean - (in[c] - m) * r * gx_mean);
      }
    }
  });
  std::vector<real> both(static_cast<std::size_t>(2 * cols));
  sum(parts, both.data(), 1, blocks, 2 * cols);
  std::copy_n(both.begin(), cols, dgamma);
  std::copy_n(both.begin() + cols, cols, dbeta);
}

}  // namespace bobbin::cpu
