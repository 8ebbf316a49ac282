#include "data/images/resize.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "tensor/check.h"
#include "tests/data/files.h"
#include "tests/golden/golden.h"

#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb/stb_image_resize.h>

using namespace bobbin;
using namespace bobbin::test;

namespace {

Index area(Size2 size) { return size.height * size.width; }

// One plane (h, w) with exact arithmetic and no rounding in between: what the formula says.
std::vector<double> by_formula(const Bytes& in, Size2 from, Size2 to) {
  const auto weight = [](Index size_in, Index size_out, Index o, Index i) {
    const double scale = static_cast<double>(size_in) / static_cast<double>(size_out), r = std::max(1.0, scale);
    const auto w = [&](Index at) {
      const double distance = static_cast<double>(at) + 0.5 - (static_cast<double>(o) + 0.5) * scale;
      return std::max(0.0, 1 - std::abs(distance) / r);
    };
    double sum = 0;
    for (Index at = 0; at < size_in; ++at) sum += w(at);
    return w(i) / sum;
  };
  std::vector<double> out;
  for (Index y = 0; y < to.height; ++y)
    for (Index x = 0; x < to.width; ++x) {
      double sum = 0;
      for (Index i = 0; i < from.height; ++i)
        if (const double down = weight(from.height, to.height, y, i); down > 0)
          for (Index j = 0; j < from.width; ++j)
            sum += down * weight(from.width, to.width, x, j) * in[static_cast<std::size_t>(i * from.width + j)];
      out.push_back(sum);
    }
  return out;
}

}  // namespace

TEST_CASE("resize is Pillow's to the bit") {
  const Golden golden("resize");
  for (const std::string name : {"gray/28x28", "gray/96x96", "gray/20x20", "gray/31x17", "rgb/32x24", "rgb/7x5"}) {
    CAPTURE(name);
    const auto bytes = [&](const std::string& key) {
      const std::vector<int> numbers = golden.ints(key);
      return Bytes(numbers.begin(), numbers.end());
    };
    const auto size = [&](const std::string& key) {
      const Shape shape = golden.tensor(key).shape();  // (count, height, width)
      return Size2(shape[1], shape[2]);
    };
    const std::string source = name.substr(0, name.find('/')) + "/X";
    CHECK(resize(bytes(source), size(source), size(name)) == bytes(name));
  }
}

TEST_CASE("resize follows its formula for any sizes") {
  const Index sizes[] = {1, 2, 3, 17, 37, 64, 65, 129};
  for (const Index a : sizes)
    for (const Index b : sizes) {
      const Size2 from{a, 17}, to{b, 130 - b};
      CAPTURE(a);
      CAPTURE(b);
      const Bytes in = noise(static_cast<std::size_t>(area(from)));
      const Bytes out = resize(in, from, to);
      const std::vector<double> expected = by_formula(in, from, to);
      REQUIRE(out.size() == expected.size());
      double worst = 0;
      for (std::size_t i = 0; i < out.size(); ++i) worst = std::max(worst, std::abs(out[i] - expected[i]));
      CHECK(worst < 1.001);  // half a level for each of the two roundings
    }
}

TEST_CASE("stb_image_resize agrees with resize when it enlarges") {
  for (const auto& [from, to] : {std::pair<Size2, Size2>{28, 96}, {{13, 19}, {32, 24}}, {{5, 7}, {50, 21}}}) {
    const Bytes in = noise(static_cast<std::size_t>(area(from)));
    const Bytes out = resize(in, from, to);
    Bytes other(static_cast<std::size_t>(area(to)));
    REQUIRE(stbir_resize_uint8_generic(in.data(), static_cast<int>(from.width), static_cast<int>(from.height), 0,
                                       other.data(), static_cast<int>(to.width), static_cast<int>(to.height), 0, 1,
                                       STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE,
                                       STBIR_COLORSPACE_LINEAR, nullptr) == 1);
    int worst = 0;
    for (std::size_t i = 0; i < out.size(); ++i) worst = std::max(worst, std::abs(out[i] - other[i]));
    CHECK(worst <= 2);
  }
}

TEST_CASE("resize treats planes alone and does not depend on the number of threads") {
  const Size2 from{28, 20}, to{70, 90};
  const Bytes in = noise(static_cast<std::size_t>(37 * area(from)));
  Bytes one_by_one;
  for (auto plane = in.begin(); plane != in.end(); plane += area(from)) {
    const Bytes out = resize({plane, plane + area(from)}, from, to);
    one_by_one.insert(one_by_one.end(), out.begin(), out.end());
  }
  const int threads = omp_get_max_threads();
  for (const int n : {1, 2, 3}) {
    omp_set_num_threads(n);
    CHECK(resize(in, from, to) == one_by_one);
  }
  omp_set_num_threads(threads);
}

TEST_CASE("resize keeps a grey area as it is, and the same size too") {
  for (const int grey : {0, 1, 127, 255})
    for (const Size2 to : {Size2{1}, Size2{7, 300}, Size2{61, 2}}) {
      const auto byte = static_cast<std::uint8_t>(grey);
      CHECK(resize(Bytes(2 * 31 * 29, byte), {31, 29}, to) == Bytes(static_cast<std::size_t>(2 * area(to)), byte));
    }
  CHECK(resize(Bytes(16384, 255), {1, 16384}, 1) == Bytes{255});  // the rounded weights do not overflow
  CHECK(resize(Bytes(16384, 255), {16384, 1}, {3, 1}) == Bytes(3, 255));
  CHECK(resize(noise(60), {3, 5}, {3, 5}) == noise(60));
  CHECK(resize({}, 28, 96).empty());
}

TEST_CASE("resize refuses sizes that make no sense") {
  using doctest::Contains;
  CHECK_THROWS_WITH_AS(resize(Bytes(6), {2, 3}, {0, 5}), Contains("[resize] images have 1 to 16384 pixels"), Error);
  CHECK_THROWS_WITH_AS(resize(Bytes(6), {2, 3}, {5, -1}), Contains("got 2 x 3 to be made 5 x -1"), Error);
  CHECK_THROWS_WITH_AS(resize(Bytes(6), {2, 3}, {16385, 1}), Contains("16385"), Error);
  CHECK_THROWS_WITH_AS(resize(Bytes(6), {-2, -3}, 5), Contains("-2 x -3"), Error);
  CHECK_THROWS_WITH_AS(resize(Bytes(7), {2, 3}, 5), Contains("7 bytes are not a whole number of planes of 2 x 3"),
                       Error);
}
