#include "tensor/rng.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "tensor/check.h"
#include "tensor/parallel.h"

namespace bobbin {
namespace {

constexpr Index grain = 1 << 12;  // blocks of four numbers

// The upper 24 bits: as many as a float holds exactly, so that 1 is never reached by rounding.
double unit(std::uint32_t word) { return (word >> 8) * 0x1p-24; }

// Fills the tensor with make(words), which turns a block of four words into four numbers.
template <class Make>
Tensor fill(const Shape& shape, Draw draw, const Make& make) {
  Staging result(shape);
  real* out = result.data();
  const Index n = shape.size();
  parallel_for((n + 3) / 4, grain, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const std::array<real, 4> four = make(draw.block(static_cast<std::uint64_t>(i)));
      for (Index j = 0; j < 4 && 4 * i + j < n; ++j) out[4 * i + j] = four[static_cast<std::size_t>(j)];
    }
  });
  return std::move(result).tensor();
}

}  // namespace

Rng Rng::fork() {
  // The new key is a random number of this stream; two forks meet once in 2^64.
  const auto words = draw().block(0);
  return Rng(std::uint64_t{words[0]} << 32 | words[1]);
}

Tensor Rng::uniform(const Shape& shape, real low, real high) {
  return fill(shape, draw(), [=](const std::array<std::uint32_t, 4>& words) {
    std::array<real, 4> four;
    for (std::size_t j = 0; j < 4; ++j) {
      const real x = static_cast<real>(low + (double{high} - low) * unit(words[j]));
      four[j] = x < high ? x : std::nextafter(high, low);  // in [1, 2) the last step rounds up to 2
    }
    return four;
  });
}

Tensor Rng::normal(const Shape& shape, real mean, real stddev) {
  // Two even numbers u, v in (0, 1] and [0, 1) make two normal ones, r·cos(a) and r·sin(a), with
  // r = sqrt(-2 ln u) and a = 2πv. Computed in double, so that a last bit of another libm is
  // rounded away.
  return fill(shape, draw(), [=](const std::array<std::uint32_t, 4>& words) {
    std::array<real, 4> four;
    for (std::size_t j = 0; j < 4; j += 2) {
      const double radius = std::sqrt(-2 * std::log(unit(words[j]) + 0x1p-24));
      const double angle = 2 * std::numbers::pi * unit(words[j + 1]);
      four[j] = static_cast<real>(mean + stddev * radius * std::cos(angle));
      four[j + 1] = static_cast<real>(mean + stddev * radius * std::sin(angle));
    }
    return four;
  });
}

std::vector<Index> Rng::permutation(Index n) {
  check(n >= 0, "permutation", "needs a count of 0 or more, got ", n);
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  const Draw numbers = draw();
  for (Index i = n - 1; i > 0; --i) {
    // 64 random bits scaled to 0 ... i: the bias is below 2^-40 for any n that fits in memory here.
    const auto words = numbers.block(static_cast<std::uint64_t>(i));
    const auto bits = static_cast<unsigned __int128>(std::uint64_t{words[0]} << 32 | words[1]);
    const auto j = static_cast<std::size_t>(bits * static_cast<std::uint64_t>(i + 1) >> 64);
    std::swap(order[static_cast<std::size_t>(i)], order[j]);
  }
  return order;
}

}  // namespace bobbin
