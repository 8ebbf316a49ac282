#include "data/images/image.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "tests/data/files.h"
#include "tests/golden/golden.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Image golden_image(const Golden& golden, const std::string& name) {
  const Shape shape = golden.tensor(name).shape();
  const std::vector<int> numbers = golden.ints(name);
  return {shape[0], shape[1], shape[2], {numbers.begin(), numbers.end()}};
}

constexpr Interpolation bilinear = Interpolation::bilinear, bicubic = Interpolation::bicubic;

}  // namespace

TEST_CASE("image: resized and cropped to the bit as torchvision and Pillow do it") {
  const Golden golden("preprocess");
  const struct {
    std::string picture, name;
    Preprocess preprocess;
  } cases[] = {{"wide", "bicubic/41x90", {{41, 90}, bicubic}},     {"tall", "bicubic/17x11", {{17, 11}, bicubic}},
               {"wide", "bicubic/64x64", {64, bicubic}},           {"wide", "bicubic/24/0.9", {24, bicubic, 0.9}},
               {"tall", "bicubic/48/0.875", {48, bicubic, 0.875}}, {"tall", "bilinear/25/0.9", {25, bilinear, 0.9}},
               {"wide", "bilinear/20/1", {20, bilinear, 1}}};
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const Image got = fit(golden_image(golden, c.picture + "/X"), c.preprocess);
    const Image want = golden_image(golden, c.picture + "/" + c.name);
    CHECK(Size2(got.height, got.width) == Size2(want.height, want.width));
    CHECK(got.bytes == want.bytes);
  }
}

TEST_CASE("image: normalised to the bit as torchvision does it") {
  const Golden golden("preprocess");
  const Preprocess preprocess{
      20, bilinear, 1, {real(0.485), real(0.456), real(0.406)}, {real(0.229), real(0.224), real(0.225)}};
  const Tensor X = to_tensor(golden_image(golden, "wide/X"), preprocess);
  CHECK(X.shape() == Shape{1, 3, 20, 20});
  CHECK(X.values() == golden.tensor("numbers").values());
}

TEST_CASE("image: a crop that is not square covers the size from its centre") {
  // 4 x 8 covers 2 x 2 as 2 x 4, of which the middle half is kept. Grey columns stay what they are.
  const Image wide{
      1, 4, 8, Bytes{0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0}};
  CHECK(fit(wide, {{4, 4}, bilinear, 1}).bytes == Bytes(16, 9));
  CHECK(fit(wide, {{8, 2}, bilinear, 1}).bytes == Bytes(16, 9));
  for (const Size2 size : {Size2{5, 31}, Size2{31, 5}, Size2{1, 1}, Size2{7, 14}})
    for (const double crop_pct : {0.0, 0.1, 0.7, 1.0}) {
      const Image image = fit({3, 13, 29, noise(3 * 13 * 29)}, {size, bicubic, crop_pct});
      CHECK(Size2(image.height, image.width) == size);
      CHECK(static_cast<Index>(image.bytes.size()) == 3 * size.height * size.width);
    }
}

TEST_CASE("image: squashed, then cut out of the middle") {
  const Image picture{3, 13, 29, noise(3 * 13 * 29)};
  const Image whole = fit(picture, {{20, 10}, bicubic});  // 20 x 10 is floor(16 / 0.8) x floor(8 / 0.8)
  const Image got = fit(picture, {{16, 8}, bicubic, 0.8, {}, {}, true});
  REQUIRE(Size2(got.height, got.width) == Size2(16, 8));
  for (Index c = 0; c < 3; ++c)
    for (Index y = 0; y < 16; ++y)
      for (Index x = 0; x < 8; ++x)
        CHECK(got.bytes[static_cast<std::size_t>((c * 16 + y) * 8 + x)] ==
              whole.bytes[static_cast<std::size_t>((c * 20 + y + 2) * 10 + x + 1)]);
}

TEST_CASE("image: preprocessing that cannot be is refused") {
  const Image image{3, 2, 2, Bytes(12)};
  const auto refuses = [&](const Preprocess& preprocess, const std::string& why) {
    return fails([&] { to_tensor(image, preprocess); }, {why});
  };
  CHECK(refuses({0}, "images have 1 to 16384 pixels"));
  CHECK(refuses({8, bilinear, 1.5}, "crop_pct is 0 (no crop), or from 0.1 to 1, got 1.5"));
  CHECK(refuses({8, bilinear, -1}, "got -1"));
  CHECK(refuses({8, bilinear, std::numeric_limits<double>::quiet_NaN()}, "got nan"));
  CHECK(refuses({8, bilinear, 0, {0, 0, 0}, {1, 1}}, "3 means and 2 standard deviations for a picture of 3 channels"));
  CHECK(refuses({8, bilinear, 0, {0}, {1}}, "1 means and 1 standard deviations"));
  CHECK(refuses({8, bilinear, 0, {0, 0, 0}, {1, 0, 1}}, "must be positive, got 0"));
  CHECK(fails([&] { fit({1, 1, 16000, Bytes(16000)}, {224, bilinear, 0.9}); }, {"1 x 16000 to be made 248 x 3968000"}));
}

TEST_CASE("thumbnail: as large as it may be, its proportions kept") {
  const auto size = [](Index height, Index width, Index longest) {
    const Image small = thumbnail({3, height, width, Bytes(static_cast<std::size_t>(3 * height * width), 7)}, longest);
    CHECK(static_cast<Index>(small.bytes.size()) == 3 * small.height * small.width);
    CHECK(small.bytes.front() == 7);
    return Size2(small.height, small.width);
  };
  CHECK(size(300, 400, 100) == Size2(75, 100));
  CHECK(size(400, 300, 100) == Size2(100, 75));
  CHECK(size(100, 100, 100) == Size2(100, 100));
  CHECK(size(10, 20, 100) == Size2(10, 20));
  CHECK(size(1, 5000, 100) == Size2(1, 100));
  CHECK(fails([&] { size(1, 1, 0); }, {"1 pixel or more, got 0"}));
}
