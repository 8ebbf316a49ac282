// Layer normalisation over rows: a warp for each row. The derivation stands in tensor/cpu/layer_norm.cpp.
#include <cmath>

#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

template <class Y>
__global__ void layer_norm_kernel(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean,
                                  real* rstd, Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;  // the whole warp
  x += row * cols;
  y += row * cols;
  const real m = warp_mean(cols, [=](Index c) { return x[c]; });
  const real variance = warp_mean(cols, [=](Index c) { return (x[c] - m) * (x[c] - m); });
  const real r = 1 / std::sqrt(variance + eps);
  for (Index c = threadIdx.x; c < cols; c += warp_size) store(y[c], (x[c] - m) * r * gamma[c] + beta[c]);
  if (threadIdx.x == 0) mean[row] = m, rstd[row] = r;
}

__global__ void layer_norm_dx_kernel(const real* x, const real* gamma, const real* mean, const real* rstd,
                                     const real* dY, real* dX, Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;
  x += row * cols;
  dY += row * cols;
  dX += row * cols;
  const real m = mean[row], r = rstd[row];
  const real g_mean = warp_mean(cols, [=](Index c) { return dY[c] * gamma[c]; });
  const real gx_mean = warp_mean(cols, [=](Index c) { return dY[c] * gamma[c] * (x[c] - m) * r; });
  for (Index c = threadIdx.x; c < cols; c += warp_size)
    dX[c] = r * (dY[c] * gamma[c] - g_mean - (x[c] - m) * r * gx_mean);
}

// Σ dY·x̂ and Σ dY over `row_piece` rows, of 32 neighbouring columns for each block; (pieces, cols) each.
constexpr Index row_piece = 64;

__global__ void layer_norm_parameters_kernel(const real* x, const real* mean, const real* rstd, const real* dY,
                                             real* dgamma, real* dbeta, Index rows, Index cols, Index stripes) {
  SHARED(real[warps][warp_size + 1], dgammas);
  SHARED(real[warps][warp_size + 1], dbetas);
  const Index column = blockIdx.x % stripes * warp_size + threadIdx.x, piece = blockIdx.x / stripes;
  real dgamma_sum = 0, dbeta_sum = 0;
  if (column < cols)
    for (Index row = piece * row_piece + threadIdx.y; row < min((piece + 1) * row_piece, rows); row += warps) {
      const real dy = dY[row * cols + column];
      dgamma_sum += dy * (x[row * cols + column] - mean[row]) * rstd[row];
      dbeta_sum += dy;
    }
  dgammas[threadIdx.y][threadIdx.x] = dgamma_sum;
  dbetas[threadIdx.y][threadIdx.x] = dbeta_sum;
  __syncthreads();
  if (threadIdx.y == 0 && column < cols) {
    for (int w = 1; w < warps; ++w) {
      dgamma_sum += dgammas[w][threadIdx.x];
      dbeta_sum += dbetas[w][threadIdx.x];
    }
    dgamma[piece * cols + column] = dgamma_sum;
    dbeta[piece * cols + column] = dbeta_sum;
  }
}

template <class Y>
void layer_norm(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean, real* rstd, Index rows,
                Index cols) {
  launch("layer_norm", layer_norm_kernel<Y>, blocks(rows, warps), block_of_warps, x, gamma, beta, eps, y, mean, rstd,
         rows, cols);
}
template void layer_norm(const real*, const real*, const real*, real, real*, real*, real*, Index, Index);
template void layer_norm(const real*, const real*, const real*, real, bfloat16*, real*, real*, Index, Index);

void layer_norm_backward(const real* x, const real* gamma, const real* mean, const real* rstd, const real* dY, real* dX,
                         real* dgamma, real* dbeta, Index rows, Index cols) {
  launch("layer_norm_dx", layer_norm_dx_kernel, blocks(rows, warps), block_of_warps, x, gamma, mean, rstd, dY, dX, rows,
         cols);
  const Index stripes = (cols + warp_size - 1) / warp_size, pieces = (rows + row_piece - 1) / row_piece;
  const auto dgammas = scratch<real>(pieces * cols), dbetas = scratch<real>(pieces * cols);
  launch("layer_norm_parameters", layer_norm_parameters_kernel, blocks(pieces * stripes, 1), block_of_warps, x, mean,
         rstd, dY, dgammas.get(), dbetas.get(), rows, cols, stripes);
  sum(dgammas.get(), dgamma, 1, pieces, cols);
  sum(dbetas.get(), dbeta, 1, pieces, cols);
}

}  // namespace bobbin::cuda
