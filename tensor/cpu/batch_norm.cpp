// Batch normalisation (Ioffe and Szegedy, 2015) of the channels of (batch, channels, places).
#include <algorithm>
#include <array>
#include <cmath>

#include "tensor/cpu/sums.h"
#include "tensor/formulas.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

constexpr Index grain = 1 << 13;  // numbers a thread should have at least

// Calls body(first channel, last + 1) for groups of neighbouring channels, shared out among threads. A group is what a
// thread looks at twice before it goes on: so it is as large as it may be to stay in the cache meanwhile, and each
// number comes from memory once. What is computed of a channel does not depend on its group.
template <class Body>
void for_each_group(const BatchNormSizes& s, const Body& body) {
  constexpr Index cached = 1 << 16;  // numbers
  const Index numbers = s.batch * s.places;
  parallel_for(s.channels, grain / numbers + 1, [&](Index begin, Index end) {
    const Index group = std::max<Index>(cached / numbers, 1);
    for (Index c = begin; c < end; c += group) body(c, std::min(c + group, end));
  });
}

// Calls visit(numbers of each array, how many) for pieces of a channel. Those of small images are gathered from
// several, so that sums are long enough for vector registers.
template <std::size_t n, class Visit>
void for_each_piece(const std::array<const real*, n>& arrays, const BatchNormSizes& s, Index channel,
                    const Visit& visit) {
  std::array<const real*, n> from;
  if (s.places > wide_run / 4) {
    for (Index b = 0; b < s.batch; ++b)
      for (Index i = 0; i < s.places; i += wide_run) {
        for (std::size_t a = 0; a < n; ++a) from[a] = arrays[a] + (b * s.channels + channel) * s.places + i;
        visit(from, std::min(wide_run, s.places - i));
      }
    return;
  }
  real gathered[n][wide_run];
  const Index images = wide_run / s.places;
  for (Index b = 0; b < s.batch; b += images) {
    const Index count = std::min(images, s.batch - b);
    for (std::size_t a = 0; a < n; ++a) {
      from[a] = gathered[a];
      for (Index i = 0; i < count; ++i)
        std::copy_n(arrays[a] + ((b + i) * s.channels + channel) * s.places, s.places, gathered[a] + i * s.places);
    }
    visit(from, count * s.places);
  }
}

// Calls visit(channel, where its numbers begin) for each image and each channel of a group, in the order of memory.
template <class Visit>
void for_each_plane(const BatchNormSizes& s, Index begin, Index end, const Visit& visit) {
  for (Index b = 0; b < s.batch; ++b)
    for (Index c = begin; c < end; ++c) visit(c, (b * s.channels + c) * s.places);
}

// The mean of n numbers, and the sum of their squared differences from it.
struct Moments {
  double n = 0, mean = 0, squares = 0;

  // Adds at most wide_run numbers: their own moments by the corrected two-pass algorithm (see
  // tensor/cpu/layer_norm.cpp), then both together (Chan, Golub, LeVeque, 1983). No difference of large numbers is ever
  // taken, and each number is read from memory once.
  void add(const real* x, Index count) {
    const double n_x = static_cast<double>(count);
    const real share = static_cast<real>(1 / n_x);  // of each, and not of the sum, lest it overflow
    const real from = static_cast<real>(add_wide_run(count, [=](Index i) { return x[i] * share; }));
    const double sum = add_wide_run(count, [=](Index i) { return x[i] - from; });
    const double squares_x = add_wide_run(count, [=](Index i) { return (x[i] - from) * (x[i] - from); });
    const double lacking = sum / n_x, away = from + lacking - mean, part = n_x / (n + n_x);
    squares += std::max(squares_x - sum * lacking, 0.0) + away * away * n * part;
    mean += away * part;
    n += n_x;
  }
};

// What becomes of a number of a channel. With a ReLU the backward pass computes it once more, and so knows where that
// let gradients through; y is not kept for that.
struct Normalise {
  real mean, scale, shift;
  real operator()(real x) const { return (x - mean) * scale + shift; }
};

template <class Y>
void normalise(const real* x, Normalise f, bool relu, Y* y, Index n) {
  if (relu) {
#pragma omp simd
    for (Index i = 0; i < n; ++i) store(y[i], formula::Relu()(f(x[i])));
  } else {
#pragma omp simd
    for (Index i = 0; i < n; ++i) store(y[i], f(x[i]));
  }
}

}  // namespace

template <class Y>
void batch_norm(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean, real* variance,
                real* rstd, const BatchNormSizes& s) {
  for_each_group(s, [=](Index begin, Index end) {
    for (Index c = begin; c < end; ++c) {
      Moments all;
      for_each_piece<1>({x}, s, c, [&](const auto& from, Index n) { all.add(from[0], n); });
      mean[c] = static_cast<real>(all.mean);
      variance[c] = static_cast<real>(all.squares / all.n);
      rstd[c] = 1 / std::sqrt(variance[c] + eps);
    }
    if (!y) return;
    for_each_plane(s, begin, end, [&](Index c, Index at) {
      normalise(x + at, {mean[c], rstd[c] * gamma[c], beta[c]}, s.relu, y + at, s.places);
    });
  });
}

template <class Y>
void batch_norm_by(const real* x, const real* gamma, const real* beta, const real* mean, const real* rstd, Y* y,
                   const BatchNormSizes& s) {
  const Index planes = s.batch * s.channels;
  parallel_for(planes, grain / s.places + 1, [=](Index begin, Index end) {
    for (Index plane = begin; plane < end; ++plane) {
      const Index k = plane % s.channels, at = plane * s.places;
      normalise(x + at, {mean[k], rstd[k] * gamma[k], beta[k]}, s.relu, y + at, s.places);
    }
  });
}

template void batch_norm(const real*, const real*, const real*, real, real*, real*, real*, real*,
                         const BatchNormSizes&);
template void batch_norm(const real*, const real*, const real*, real, bfloat16*, real*, real*, real*,
                         const BatchNormSizes&);
template void batch_norm_by(const real*, const real*, const real*, const real*, const real*, real*,
                            const BatchNormSizes&);
template void batch_norm_by(const real*, const real*, const real*, const real*, const real*, bfloat16*,
                            const BatchNormSizes&);

namespace {

// With x̂ = (x - mean)·rstd the forward pass is y = x̂·gamma + beta. If mean and rstd are those of the batch, they depend
// on each of a channel's n numbers, which brings two more terms, as in layer normalisation:
//     dgamma = Σ dY·x̂,   dbeta = Σ dY,   dX = gamma · rstd · (dY - dbeta/n - x̂ · dgamma/n).
// Where a ReLU follows, dY is what it lets through.
template <bool relu>
void backward(const real* x, const real* gamma, const real* beta, const real* mean, const real* rstd, const real* dY,
              bool of_batch, real* dX, real* dgamma, real* dbeta, const BatchNormSizes& s) {
  const double n = static_cast<double>(s.batch * s.places);
  for_each_group(s, [=](Index begin, Index end) {
    const auto let_through = [=](Index c) {
      return [f = Normalise{mean[c], rstd[c] * gamma[c], beta[c]}](real in, real dy) {
        return relu ? formula::ReluBackward()(f(in), dy) : dy;
      };
    };
    for (Index c = begin; c < end; ++c) {
      double sum = 0, product = 0;
      for_each_piece<2>({x, dY}, s, c,
                        [&, f = let_through(c), m = mean[c], r = rstd[c]](const auto& from, Index count) {
                          const real *const in = from[0], *const dy = from[1];
                          sum += add_wide_run(count, [=](Index i) { return f(in[i], dy[i]); });
                          product += add_wide_run(count, [=](Index i) { return f(in[i], dy[i]) * ((in[i] - m) * r); });
                        });
      dbeta[c] = static_cast<real>(sum);
      dgamma[c] = static_cast<real>(product);
    }
    for_each_plane(s, begin, end, [&](Index c, Index at) {
      const real *in = x + at, *dy = dY + at, m = mean[c], r = rstd[c], scale = r * gamma[c];
      const real dy_mean = of_batch ? static_cast<real>(dbeta[c] / n) : 0;
      const real product_mean = of_batch ? static_cast<real>(dgamma[c] / n) : 0;
      const auto f = let_through(c);
      real* dx = dX + at;
#pragma omp simd
      for (Index i = 0; i < s.places; ++i) dx[i] = scale * (f(in[i], dy[i]) - dy_mean - (in[i] - m) * r * product_mean);
    });
  });
}

}  // namespace

void batch_norm_backward(const real* x, const real* gamma, const real* beta, const real* mean, const real* rstd,
                         const real* dY, bool of_batch, real* dX, real* dgamma, real* dbeta, const BatchNormSizes& s) {
  (s.relu ? backward<true> : backward<false>)(x, gamma, beta, mean, rstd, dY, of_batch, dX, dgamma, dbeta, s);
}

}  // namespace bobbin::cpu
