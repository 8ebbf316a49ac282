#include "data/images/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "tensor/check.h"
#include "tensor/cubic.h"
#include "tensor/parallel.h"

// Two passes, first along the rows, then along the columns. Each makes every output pixel o of a line from some
// neighbours in the input line,
//
//     out[o] = Σₖ weight[k][o] · in[first[o] + k].
//
// Let scale = input size / output size. A pixel is a square, so output pixel o has its centre at
// c = (o + ½)·scale in the input, whose pixel i has its centre at i + ½. The weight of pixel i falls
// with its distance:
//
//     w(i) = filter(|i + ½ − c| / r),    r = max(1, scale).
//
// The bilinear filter is a triangle, 1 − x up to x = 1. When the image grows, r is 1 and only the two nearest pixels
// count. When it shrinks, the triangle is as wide as two output pixels, so that every input pixel has its say: without
// that, fine patterns turn into false coarse ones (aliasing). The bicubic filter (tensor/cubic.h) reaches up to x = 2.
// It is negative beyond 1, which sharpens edges, and can lead out of 0 ... 255. Beyond the border there are no pixels;
// the weights that remain are divided by their sum, so that a grey area keeps its grey.
//
// Pillow computes with integers: weights are multiples of 2⁻²², and each pass rounds its sums to bytes. We do the same
// to get the same. (From version 13 on it begins with the columns where the height shrinks much more than the width;
// then the rounding in between is another.)

namespace bobbin {
namespace {

constexpr int precision = 32 - 8 - 2;  // of 32 bits, 8 are the pixel's, one is the sign, one is spare
constexpr Index largest = 16384;       // pixels on a side: their rounded weights cannot overflow a sum
constexpr Index grain = 1 << 14;       // output pixels that are worth waking a thread
constexpr Index block = 64;            // output pixels that are summed side by side, in vector registers

// The weight of a pixel at distance x >= 0; nothing from x = reach on.
struct Filter {
  double reach;
  double (*weight)(double x);
};
constexpr Filter triangle{1, [](double x) { return std::max(0.0, 1 - x); }};
constexpr Filter bicubic{2, cubic};

struct Weights {
  Index size_in, size_out, taps;     // taps: the most neighbours that an output pixel has
  std::vector<Index> first;          // (size_out)
  std::vector<std::int32_t> weight;  // (taps, size_out)
};

Weights make_weights(Index size_in, Index size_out, const Filter& filter) {
  const double scale = static_cast<double>(size_in) / static_cast<double>(size_out), r = std::max(1.0, scale);
  const double reach = filter.reach * r;
  const Index taps = std::min(static_cast<Index>(std::ceil(2 * reach)), size_in);
  Weights result{size_in, size_out, taps, std::vector<Index>(static_cast<std::size_t>(size_out)),
                 std::vector<std::int32_t>(static_cast<std::size_t>(taps * size_out))};
  std::vector<double> w(static_cast<std::size_t>(taps));
  for (Index o = 0; o < size_out; ++o) {
    const double c = (static_cast<double>(o) + 0.5) * scale;
    // The first pixel with its centre right of c - reach. At the border all taps are moved inside, and those out of
    // reach weigh 0.
    Index i = std::clamp(static_cast<Index>(std::floor(c - reach + 0.5)), Index{0}, size_in - taps);
    result.first[static_cast<std::size_t>(o)] = i;
    for (double& tap : w) tap = filter.weight(std::abs(static_cast<double>(i++) + 0.5 - c) / r);
    const double sum = std::accumulate(w.begin(), w.end(), 0.0);
    std::int32_t* weight = result.weight.data() + o;
    for (Index k = 0; k < taps; ++k)
      weight[k * size_out] =
          static_cast<std::int32_t>(std::lround(w[static_cast<std::size_t>(k)] / sum * (1 << precision)));
  }
  return result;
}

// out[j] = Σₖ weight(k, j)·in(k, j) for 0 <= j < count <= block. The loop over j is inside, where the compiler turns it
// into vector instructions.
template <class Weight, class In>
void weighted_sums(std::uint8_t* out, Index count, Index taps, const Weight& weight, const In& in) {
  std::array<std::int32_t, block> array;
  std::int32_t* sums = array.data();
  std::fill_n(sums, count, 1 << (precision - 1));  // a half, so that the shift rounds
  for (Index k = 0; k < taps; ++k)
    for (Index j = 0; j < count; ++j) sums[j] += weight(k, j) * in(k, j);
  for (Index j = 0; j < count; ++j) out[j] = static_cast<std::uint8_t>(std::clamp(sums[j] >> precision, 0, 255));
}

// (rows, size_in) -> (rows, size_out)
void resize_rows(const std::uint8_t* in, std::uint8_t* out, Index rows, const Weights& weights) {
  const Index size_in = weights.size_in, size_out = weights.size_out;
  parallel_for(rows, grain / size_out + 1, [&, size_in, size_out](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      for (Index x = 0; x < size_out; x += block) {
        const std::int32_t* weight = weights.weight.data() + x;
        const Index* first = weights.first.data() + x;
        const std::uint8_t* line = in + row * size_in;
        weighted_sums(
            out + row * size_out + x, std::min(block, size_out - x), weights.taps,
            [=](Index k, Index j) { return weight[k * size_out + j]; },
            [=](Index k, Index j) { return line[first[j] + k]; });
      }
  });
}

// (planes, size_in, width) -> (planes, size_out, width)
void resize_columns(const std::uint8_t* in, std::uint8_t* out, Index planes, Index width, const Weights& weights) {
  const Index size_in = weights.size_in, size_out = weights.size_out;
  parallel_for(planes * size_out, grain / width + 1, [&, size_in, size_out](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const Index plane = row / size_out, y = row % size_out;
      const std::int32_t* weight = weights.weight.data() + y;
      const std::uint8_t* lines = in + (plane * size_in + weights.first[static_cast<std::size_t>(y)]) * width;
      for (Index x = 0; x < width; x += block)
        weighted_sums(
            out + row * width + x, std::min(block, width - x), weights.taps,
            [=](Index k, Index) { return weight[k * size_out]; },
            [=](Index k, Index j) { return lines[k * width + x + j]; });
    }
  });
}

}  // namespace

std::vector<std::uint8_t> resize(std::vector<std::uint8_t> planes, Size2 from, Size2 to, Interpolation interpolation) {
  const Filter& filter = interpolation == Interpolation::bicubic ? bicubic : triangle;
  for (const Index side : {from.height, from.width, to.height, to.width})
    check(side >= 1 && side <= largest, "resize", "images have 1 to ", largest, " pixels on a side, got ", from.height,
          " x ", from.width, " to be made ", to.height, " x ", to.width);
  const Index size = static_cast<Index>(planes.size()), plane = from.height * from.width, count = size / plane;
  check(size % plane == 0, "resize", planes.size(), " bytes are not a whole number of planes of ", from.height, " x ",
        from.width);
  if (to.width != from.width) {
    std::vector<std::uint8_t> out(static_cast<std::size_t>(count * from.height * to.width));
    resize_rows(planes.data(), out.data(), count * from.height, make_weights(from.width, to.width, filter));
    planes = std::move(out);
  }
  if (to.height != from.height) {
    std::vector<std::uint8_t> out(static_cast<std::size_t>(count * to.height * to.width));
    resize_columns(planes.data(), out.data(), count, to.width, make_weights(from.height, to.height, filter));
    planes = std::move(out);
  }
  return planes;
}

}  // namespace bobbin
