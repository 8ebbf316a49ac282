// Batch normalisation of the channels of (batch, channels, places). The derivation stands in tensor/cpu/batch_norm.cpp.
#include <cmath>

#include "tensor/cuda/divisor.h"
#include "tensor/cuda/launch.h"
#include "tensor/formulas.h"

namespace bobbin::cuda {

constexpr int per_lane = 32;
constexpr int piece = per_lane * warp_size;  // numbers of a channel for a warp

__host__ __device__ Index pieces_of(const BatchNormSizes& s) { return (s.batch * s.places + piece - 1) / piece; }

// What a warp works on: `count` numbers of a channel, image after image. A lane has every 32nd of them, and at(k) says
// where its k-th lies in x. One that has fewer reads the first instead, so that all reads can be under way at once: a
// late layer, 3 x 3 pixels of 512 channels, has only a thousand pieces, and would wait for memory nearly all the time.
struct ChannelPiece {
  BatchNormSizes s;
  Divisor of_image;
  Index channel, begin, count;

  __device__ ChannelPiece(const BatchNormSizes& s, Divisor of_image)
      : s(s),
        of_image(of_image),
        channel(warp_number() / pieces_of(s)),
        begin(warp_number() % pieces_of(s) * piece),
        count(min(Index{piece}, s.batch * s.places - begin)) {}

  __device__ Index number(int k) const { return k * warp_size + threadIdx.x; }
  __device__ bool has(int k) const { return number(k) < count; }
  __device__ Index at(int k) const {
    const auto [image, place] = of_image.divide(begin + (has(k) ? number(k) : 0));
    return (image * s.channels + channel) * s.places + place;
  }
};

// The mean of each piece, and the mean of the squared differences from it; (channels, pieces) each.
__global__ void batch_norm_pieces_kernel(const real* x, real* means, real* variances, BatchNormSizes s,
                                         Divisor of_image) {
  const ChannelPiece p(s, of_image);
  if (p.channel >= s.channels) return;  // the whole warp
  real numbers[per_lane];
#pragma unroll
  for (int k = 0; k < per_lane; ++k) numbers[k] = x[p.at(k)];
  const auto number = [&](Index, int k) { return numbers[k]; };
  const real m = warp_mean<piece>(p.count, number);
#pragma unroll
  for (int k = 0; k < per_lane; ++k) numbers[k] = (numbers[k] - m) * (numbers[k] - m);
  const real v = warp_mean<piece>(p.count, number);
  if (threadIdx.x == 0) means[warp_number()] = m, variances[warp_number()] = v;
}

// A warp for each channel: the mean of the pieces' means; and what they vary by, in themselves and from each other.
__global__ void batch_norm_statistics_kernel(const real* means, const real* variances, real eps, real* mean,
                                             real* variance, real* rstd, BatchNormSizes s) {
  const Index channel = warp_number(), pieces = pieces_of(s), n = s.batch * s.places;
  if (channel >= s.channels) return;
  means += channel * pieces;
  variances += channel * pieces;
  const auto share = [=](Index p) {
    return static_cast<double>(min(Index{piece}, n - p * piece)) / static_cast<double>(n);
  };
  double m = 0, v = 0;
  for (Index p = threadIdx.x; p < pieces; p += warp_size) m += share(p) * means[p];
  m = warp_sum(m);
  for (Index p = threadIdx.x; p < pieces; p += warp_size)
    v += share(p) * (variances[p] + (means[p] - m) * (means[p] - m));
  v = warp_sum(v);
  if (threadIdx.x == 0) {
    mean[channel] = static_cast<real>(m);
    variance[channel] = static_cast<real>(v);
    rstd[channel] = 1 / std::sqrt(variance[channel] + eps);
  }
}

// What becomes of a number of a channel, and of its gradient.
struct Normalise {
  real mean, scale, shift;
  bool relu;

  __device__ real before_relu(real x) const { return (x - mean) * scale + shift; }
  __device__ real operator()(real x) const { return relu ? formula::Relu()(before_relu(x)) : before_relu(x); }
  __device__ real back(real x, real dY) const { return relu ? formula::ReluBackward()(before_relu(x), dY) : dY; }
};

// A thread for each number.
template <class Y>
__global__ void batch_norm_kernel(const real* x, const real* gamma, const real* beta, const real* mean,
                                  const real* rstd, Y* y, bool relu, Divisor of_image, Divisor channels, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Index c = channels.divide(of_image.divide(at).quotient).remainder;
  store(y[at], Normalise{mean[c], rstd[c] * gamma[c], beta[c], relu}(x[at]));
}

// Σ dY and Σ dY·x̂ of each piece; (channels, pieces) each.
__global__ void batch_norm_parameters_kernel(const real* x, const real* gamma, const real* beta, const real* mean,
                                             const real* rstd, const real* dY, real* dgamma, real* dbeta,
                                             BatchNormSizes s, Divisor of_image) {
  const ChannelPiece p(s, of_image);
  if (p.channel >= s.channels) return;
  const real m = mean[p.channel], r = rstd[p.channel];
  const Normalise f{m, r * gamma[p.channel], beta[p.channel], s.relu};
  real dgamma_sum = 0, dbeta_sum = 0;
#pragma unroll 8
  for (int k = 0; k < per_lane; ++k) {
    const Index at = p.at(k);
    const real dy = f.back(x[at], dY[at]), x_hat = (x[at] - m) * r;
    dgamma_sum += p.has(k) ? dy * x_hat : real{0};
    dbeta_sum += p.has(k) ? dy : real{0};
  }
  dgamma_sum = warp_sum(dgamma_sum);
  dbeta_sum = warp_sum(dbeta_sum);
  if (threadIdx.x == 0) dgamma[warp_number()] = dgamma_sum, dbeta[warp_number()] = dbeta_sum;
}

// A warp for each channel: the sums of the pieces' sums.
__global__ void batch_norm_sums_kernel(const real* dgammas, const real* dbetas, real* dgamma, real* dbeta,
                                       Index channels, Index pieces) {
  const Index channel = warp_number();
  if (channel >= channels) return;
  real dgamma_sum = 0, dbeta_sum = 0;
  for (Index p = channel * pieces + threadIdx.x; p < (channel + 1) * pieces; p += warp_size) {
    dgamma_sum += dgammas[p];
    dbeta_sum += dbetas[p];
  }
  dgamma_sum = warp_sum(dgamma_sum);
  dbeta_sum = warp_sum(dbeta_sum);
  if (threadIdx.x == 0) dgamma[channel] = dgamma_sum, dbeta[channel] = dbeta_sum;
}

// `per_n` is 1/n, or 0 where mean and rstd do not depend on x.
__global__ void batch_norm_dx_kernel(const real* x, const real* gamma, const real* beta, const real* mean,
                                     const real* rstd, const real* dY, const real* dgamma, const real* dbeta,
                                     real per_n, real* dX, bool relu, Divisor of_image, Divisor channels, Index n) {
  const Index at = thread_number();
  if (at >= n) return;
  const Index c = channels.divide(of_image.divide(at).quotient).remainder;
  const real x_hat = (x[at] - mean[c]) * rstd[c], scale = rstd[c] * gamma[c];
  const real dy = Normalise{mean[c], scale, beta[c], relu}.back(x[at], dY[at]);
  const real of_mean = per_n > 0 ? dbeta[c] * per_n + x_hat * (dgamma[c] * per_n) : real{0};  // 0 · inf is NaN
  dX[at] = scale * (dy - of_mean);
}

template <class Y>
void batch_norm(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean, real* variance,
                real* rstd, const BatchNormSizes& s) {
  const Index pieces = s.channels * pieces_of(s);
  const auto means = scratch<real>(pieces), variances = scratch<real>(pieces);
  launch("batch_norm_pieces", batch_norm_pieces_kernel, blocks(pieces, warps), block_of_warps, x, means.get(),
         variances.get(), s, s.places);
  launch("batch_norm_statistics", batch_norm_statistics_kernel, blocks(s.channels, warps), block_of_warps, means.get(),
         variances.get(), eps, mean, variance, rstd, s);
  if (y) batch_norm_by(x, gamma, beta, mean, rstd, y, s);
}

template <class Y>
void batch_norm_by(const real* x, const real* gamma, const real* beta, const real* mean, const real* rstd, Y* y,
                   const BatchNormSizes& s) {
  const Index n = s.batch * s.channels * s.places;
  launch("batch_norm", batch_norm_kernel<Y>, blocks(n, block_size), block_size, x, gamma, beta, mean, rstd, y, s.relu,
         s.places, s.channels, n);
}

template void batch_norm(const real*, const real*, const real*, real, real*, real*, real*, real*,
                         const BatchNormSizes&);
template void batch_norm(const real*, const real*, const real*, real, bfloat16*, real*, real*, real*,
                         const BatchNormSizes&);
template void batch_norm_by(const real*, const real*, const real*, const real*, const real*, real*,
                            const BatchNormSizes&);
template void batch_norm_by(const real*, const real*, const real*, const real*, const real*, bfloat16*,
                            const BatchNormSizes&);

void batch_norm_backward(const real* x, const real* gamma, const real* beta, const real* mean, const real* rstd,
                         const real* dY, bool of_batch, real* dX, real* dgamma, real* dbeta, const BatchNormSizes& s) {
  const Index pieces = pieces_of(s), n = s.batch * s.channels * s.places;
  const auto dgammas = scratch<real>(s.channels * pieces), dbetas = scratch<real>(s.channels * pieces);
  launch("batch_norm_parameters", batch_norm_parameters_kernel, blocks(s.channels * pieces, warps), block_of_warps, x,
         gamma, beta, mean, rstd, dY, dgammas.get(), dbetas.get(), s, s.places);
  launch("batch_norm_sums", batch_norm_sums_kernel, blocks(s.channels, warps), block_of_warps, dgammas.get(),
         dbetas.get(), dgamma, dbeta, s.channels, pieces);
  const real per_n = of_batch ? 1 / static_cast<real>(s.batch * s.places) : real{0};
  launch("batch_norm_dx", batch_norm_dx_kernel, blocks(n, block_size), block_size, x, gamma, beta, mean, rstd, dY,
         dgamma, dbeta, per_n, dX, s.relu, s.places, s.channels, n);
}

}  // namespace bobbin::cuda
