// Layer normalisation over rows: a warp for each row, which reads it once if it fits into registers. The derivation
// stands in tensor/cpu/layer_norm.cpp.
#include <algorithm>
#include <cmath>

#include "tensor/cuda/columns.h"

namespace bobbin::cuda {

// How many numbers of a row a warp can keep in its registers: 16 or 32 floats for each lane.
constexpr Index few = 2048 / sizeof(real), many = 4096 / sizeof(real);

// A function of the columns of a row, for a warp: of rows of up to `held` numbers computed once, and kept.
template <int held, class F>
class Row {
 public:
  __device__ Row(Index n, const F& f) : f_(f) {
    if constexpr (held > 0) for_columns<held>(n, [&](Index c, int k) { kept_[k] = f(c); });
  }
  __device__ real operator()(Index c, int k) const {
    if constexpr (held > 0)
      return kept_[k];
    else
      return f_(c);
  }

 private:
  F f_;
  real kept_[held > 0 ? held / warp_size : 1]{};
};
template <int held, class F>
__device__ Row<held, F> row_of(Index n, const F& f) {
  return Row<held, F>(n, f);
}

// gamma and beta overlap no result, which lets them be read ahead.
template <int held, class Y>
__global__ void layer_norm_kernel(const real* x, const real* __restrict__ gamma, const real* __restrict__ beta,
                                  real eps, Y* y, real* mean, real* rstd, Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;  // the whole warp
  x += row * cols;
  y += row * cols;
  const auto numbers = row_of<held>(cols, [=](Index c) { return x[c]; });
  const real m = warp_mean<held>(cols, numbers);
  const real variance = warp_mean<held>(cols, [&](Index c, int k) {
    const real difference = numbers(c, k) - m;
    return difference * difference;
  });
  const real r = 1 / std::sqrt(variance + eps);
  for_columns<held>(cols, [&](Index c, int k) { store(y[c], (numbers(c, k) - m) * r * gamma[c] + beta[c]); });
  if (threadIdx.x == 0) mean[row] = m, rstd[row] = r;
}

template <int held>
__global__ void layer_norm_dx_kernel(const real* x, const real* __restrict__ gamma, const real* mean, const real* rstd,
                                     const real* dY, real* dX, Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;
  x += row * cols;
  dY += row * cols;
  dX += row * cols;
  const real m = mean[row], r = rstd[row];
  const auto g = row_of<held>(cols, [=](Index c) { return dY[c] * gamma[c]; });
  const auto difference = row_of<held>(cols, [=](Index c) { return x[c] - m; });
  const real g_mean = warp_mean<held>(cols, g);
  const real gx_mean = warp_mean<held>(cols, [&](Index c, int k) { return g(c, k) * difference(c, k) * r; });
  for_columns<held>(cols, [&](Index c, int k) { dX[c] = r * (g(c, k) - g_mean - difference(c, k) * r * gx_mean); });
}

// Σ dY·x̂ and Σ dY over pieces of the rows, (pieces, 2, cols), of a stripe of 32 columns for each block, or, with
// count = 4, of 32 times four.
template <int count>
__global__ void layer_norm_parameters_kernel(const real* x, const real* mean, const real* rstd, const real* dY,
                                             real* sums, Index piece, Index rows, Index cols, Index stripes) {
  const Index column = (blockIdx.x % stripes * warp_size + threadIdx.x) * count, number = blockIdx.x / stripes;
  const Index begin = number * piece, end = column < cols ? min(begin + piece, rows) : begin;
  x += column;
  dY += column;
  const auto both = sum_over_rows(begin, end, [=](Index row) {
    const auto xs = read<count>(x + row * cols), dys = read<count>(dY + row * cols);
    const real m = mean[row], r = rstd[row];
    Neighbours<real, 2 * count> terms;
    for (int j = 0; j < count; ++j) {
      terms.at[j] = dys.at[j] * (xs.at[j] - m) * r;
      terms.at[count + j] = dys.at[j];
    }
    return terms;
  });
  if (threadIdx.y > 0 || column >= cols) return;
  for (int j = 0; j < count; ++j) {
    sums[2 * number * cols + column + j] = both.at[j];
    sums[(2 * number + 1) * cols + column + j] = both.at[count + j];
  }
}

// sums (pieces, 2, cols), which is (pieces, 2·cols) -> dgamma (cols) and dbeta (cols).
__global__ void layer_norm_parameters_end_kernel(const real* sums, real* dgamma, real* dbeta, Index pieces,
                                                 Index cols) {
  const Index column = Index{blockIdx.x} * warp_size + threadIdx.x;
  const bool there = column < 2 * cols;
  const real sum = sum_over_rows(0, there ? pieces : 0, [=](Index row) { return sums[row * 2 * cols + column]; });
  if (threadIdx.y == 0 && there) (column < cols ? dgamma[column] : dbeta[column - cols]) = sum;
}

template <class Y>
void layer_norm(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean, real* rstd, Index rows,
                Index cols) {
  const auto kernel = cols <= few    ? layer_norm_kernel<few, Y>
                      : cols <= many ? layer_norm_kernel<many, Y>
                                     : layer_norm_kernel<0, Y>;
  launch("layer_norm", kernel, blocks(rows, warps), block_of_warps, x, gamma, beta, eps, y, mean, rstd, rows, cols);
}
template void layer_norm(const real*, const real*, const real*, real, real*, real*, real*, Index, Index);
template void layer_norm(const real*, const real*, const real*, real, bfloat16*, real*, real*, Index, Index);

void layer_norm_backward(const real* x, const real* gamma, const real* mean, const real* rstd, const real* dY, real* dX,
                         real* dgamma, real* dbeta, Index rows, Index cols) {
  const auto dx_kernel = cols <= few    ? layer_norm_dx_kernel<few>
                         : cols <= many ? layer_norm_dx_kernel<many>
                                        : layer_norm_dx_kernel<0>;
  launch("layer_norm_dx", dx_kernel, blocks(rows, warps), block_of_warps, x, gamma, mean, rstd, dY, dX, rows, cols);
  // As many pieces as the GPU needs to be busy, and not so many that their sums are long.
  const Index piece = std::max(Index{64}, (rows + 127) / 128), pieces = (rows + piece - 1) / piece;
  const bool fours = cols % 4 == 0 && aligned(x) && aligned(dY);
  const Index stripe = fours ? 4 * warp_size : warp_size, stripes = (cols + stripe - 1) / stripe;
  const auto sums = scratch<real>(pieces * 2 * cols);
  launch("layer_norm_parameters", fours ? layer_norm_parameters_kernel<4> : layer_norm_parameters_kernel<1>,
         blocks(pieces * stripes, 1), block_of_warps, x, mean, rstd, dY, sums.get(), piece, rows, cols, stripes);
  launch("layer_norm_parameters", layer_norm_parameters_end_kernel, blocks(2 * cols, warp_size), block_of_warps,
         sums.get(), dgamma, dbeta, pieces, cols);
}

}  // namespace bobbin::cuda
