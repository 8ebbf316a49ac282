#include "data/images/augment.h"

#include <algorithm>
#include <cmath>

#include "data/images/words.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

// Where pixel i of a line of n is found in its mirror images to both sides, 3 2 1 | 0 1 2 3 | 2 1 0.
Index reflected(Index i, Index n) {
  if (n == 1) return 0;
  const Index period = 2 * (n - 1), at = (i % period + period) % period;
  return std::min(at, period - at);
}

// The part of the picture, of its size, whose upper left corner is (top, left).
Image moved(const Image& image, Index top, Index left, CropMode mode) {
  const Index height = image.height, width = image.width;
  const bool mirror = mode == CropMode::reflect;
  Image result{image.channels, height, width, std::vector<std::uint8_t>(image.bytes.size())};
  const Index begin = std::clamp<Index>(-left, 0, width), end = std::clamp<Index>(width - left, begin, width);
  for (Index c = 0; c < image.channels; ++c)
    for (Index y = 0; y < height; ++y) {
      const bool inside = y + top >= 0 && y + top < height;
      if (!inside && !mirror) continue;
      const auto in = image.bytes.begin() + (c * height + (inside ? y + top : reflected(y + top, height))) * width;
      const auto out = result.bytes.begin() + (c * height + y) * width;
      std::copy_n(in + begin + left, end - begin, out + begin);
      if (!mirror) continue;
      for (Index x = 0; x < begin; ++x) out[x] = in[reflected(x + left, width)];
      for (Index x = end; x < width; ++x) out[x] = in[reflected(x + left, width)];
    }
  return result;
}

void flip(Image& image) {
  for (auto line = image.bytes.begin(); line != image.bytes.end(); line += image.width)
    std::reverse(line, line + image.width);
}

}  // namespace

void check_augmentation(const Augmentation& a, const char* where) {
  const auto probability = [=](const char* name, double p) {
    check(p >= 0 && p <= 1, where, name, " is a probability, from 0 to 1, got ", p);
  };
  probability("hflip", a.hflip);
  check(a.crop_padding >= 0 && a.crop_padding <= 16384, where, "crop_padding must be 0 to 16384 pixels, got ",
        a.crop_padding);
  probability("random_erase", a.random_erase);
  const auto alpha = [=](const char* name, double value) {
    check(value >= 0 && value <= 1000, where, name, " is an alpha from 0 to 1000, got ", value);
  };
  alpha("mixup", a.mixup), alpha("cutmix", a.cutmix);
  probability("mixup_prob", a.mixup_prob);
  probability("mixup_switch_prob", a.mixup_switch_prob);
  check(a.hflip > 0 || a.hflip_mode == FlipMode::random, where,
        "hflip_mode alternate flips the share hflip of the images in the first epoch, which is 0");
  check(a.crop_padding > 0 || a.crop_mode == CropMode::constant, where,
        "crop_mode says what images leave free that are shifted, and crop_padding is 0");
  check(a.random_erase > 0 || a.erase_mode == EraseMode::constant, where,
        "erase_mode says what is put into erased rectangles, and random_erase is 0");
}

Image augment(Image image, const Augmentation& augmentation, const Draw& draw, Index i, Index index) {
  Words words(draw, i, WordsFor::flip_and_shift);
  bool flipped = words.coin(augmentation.hflip);
  if (augmentation.hflip_mode == FlipMode::alternate) {
    // A coin that is the same in each epoch: of a draw that none has. Epoch e has the draws 2e and 2e + 1.
    Words first({draw.key, ~std::uint64_t{0}}, index, WordsFor::flip_and_shift);
    flipped = first.coin(augmentation.hflip) != (draw.number / 2 % 2 == 1);
  }
  if (const Index padding = augmentation.crop_padding; padding > 0) {
    const Index top = words.below(2 * padding + 1) - padding, left = words.below(2 * padding + 1) - padding;
    image = moved(image, top, left, augmentation.crop_mode);
  }
  if (flipped) flip(image);
  return image;
}

void erase(real* numbers, Index channels, Size2 size, const Augmentation& augmentation, const Draw& draw, Index i) {
  Words words(draw, i, WordsFor::erasing), noise(draw, i, WordsFor::noise);
  if (!words.coin(augmentation.random_erase)) return;
  const double area = static_cast<double>(size.height * size.width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double erased = area * words.uniform(0.02, 0.33);
    const double ratio = std::exp(words.uniform(std::log(0.3), std::log(3.3)));
    const Index height = std::lrint(std::sqrt(erased * ratio)), width = std::lrint(std::sqrt(erased / ratio));
    if (height >= size.height || width >= size.width) continue;
    const Index top = words.below(size.height - height + 1), left = words.below(size.width - width + 1);
    for (Index c = 0; c < channels; ++c)
      for (Index y = top; y < top + height; ++y)
        std::generate_n(numbers + (c * size.height + y) * size.width + left, width, [&] {
          return augmentation.erase_mode == EraseMode::pixel ? static_cast<real>(noise.normal()) : real{0};
        });
    return;
  }
}

}  // namespace bobbin
