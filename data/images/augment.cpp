#include "data/images/augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "data/images/photometric.h"
#include "data/images/rand_augment.h"
#include "data/images/random_words.h"
#include "data/images/resize.h"
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

// The mean of normalised pictures as a colour; black where there is none.
std::vector<std::uint8_t> mean_bytes(const Preprocess& preprocess, Index channels) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(channels));
  for (std::size_t c = 0; c < std::min(bytes.size(), preprocess.mean.size()); ++c)
    bytes[c] = static_cast<std::uint8_t>(std::lrint(std::clamp<real>(255 * preprocess.mean[c], 0, 255)));
  return bytes;
}

// torchvision's ColorJitter: in an order that is drawn.
Image jittered(Image image, const Augmentation& a, RandomWords words) {
  std::array<std::size_t, 4> order{0, 1, 2, 3};
  for (std::size_t i = 3; i > 0; --i)
    std::swap(order[i], order[static_cast<std::size_t>(words.below(static_cast<Index>(i) + 1))]);
  const auto factor = [&](double by) {
    return by > 0 ? static_cast<float>(words.uniform(std::max(0.0, 1 - by), 1 + by)) : 1.0F;
  };
  const float bright = factor(a.jitter_brightness), strong = factor(a.jitter_contrast);
  const float colourful = factor(a.jitter_saturation);
  const auto turned = static_cast<float>(a.jitter_hue > 0 ? words.uniform(-a.jitter_hue, a.jitter_hue) : 0);
  for (const std::size_t what : order) {
    if (what == 0 && a.jitter_brightness > 0) image = brightness(std::move(image), bright);
    if (what == 1 && a.jitter_contrast > 0) image = contrast(std::move(image), strong);
    if (what == 2 && a.jitter_saturation > 0) image = saturation(std::move(image), colourful);
    if (what == 3 && a.jitter_hue > 0) image = hue(std::move(image), turned);
  }
  return image;
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
  probability("resized_crop", a.resized_crop);
  check(a.ra_ops >= 1 && a.ra_ops <= 16, where, "ra_ops must be 1 to 16 operations, got ", a.ra_ops);
  check(a.ra_magnitude >= 0 && a.ra_magnitude <= 30, where, "ra_magnitude must be from 0 to 30, got ", a.ra_magnitude);
  check(a.ra_magnitude <= 10 || a.auto_augment != AutoAugment::timm_rand_augment, where,
        "ra_magnitude of timm-ra goes to 10, got ", a.ra_magnitude);
  for (const double by : {a.jitter_brightness, a.jitter_contrast, a.jitter_saturation})
    check(by >= 0 && by <= 100, where, "a jitter of brightness, contrast or saturation is from 0 to 100, got ", by);
  check(a.jitter_hue >= 0 && a.jitter_hue <= 0.5, where, "jitter_hue is from 0 to 0.5, got ", a.jitter_hue);
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

bool flips(const Augmentation& augmentation, const Draw& draw, Index i, Index index) {
  if (augmentation.hflip_mode == FlipMode::random)
    return RandomWords(draw, i, WordsFor::flip_and_shift).coin(augmentation.hflip);
  // A coin that is the same in each epoch: of a draw that none has. Epoch e has the draws 2e and 2e + 1.
  RandomWords first({draw.key, ~std::uint64_t{0}}, index, WordsFor::flip_and_shift);
  return first.coin(augmentation.hflip) != (draw.number / 2 % 2 == 1);
}

Image augment(Image image, const Augmentation& augmentation, const Draw& draw, Index i, Index index,
              const Preprocess& preprocess) {
  RandomWords words(draw, i, WordsFor::flip_and_shift);
  words.coin(augmentation.hflip);  // is that of flips()
  if (const Index padding = augmentation.crop_padding; padding > 0) {
    const Index top = words.below(2 * padding + 1) - padding, left = words.below(2 * padding + 1) - padding;
    image = moved(image, top, left, augmentation.crop_mode);
  }
  if (flips(augmentation, draw, i, index)) flip(image);
  if (augmentation.auto_augment != AutoAugment::none) {
    RandomWords policy(draw, i, WordsFor::policy);
    const int count = augmentation.ra_ops, magnitude = augmentation.ra_magnitude;
    if (augmentation.auto_augment == AutoAugment::rand_augment)
      image = rand_augment(std::move(image), count, magnitude, policy);
    else if (augmentation.auto_augment == AutoAugment::trivial_augment_wide)
      image = trivial_augment_wide(std::move(image), policy);
    else
      image = timm_rand_augment(std::move(image), count, magnitude, preprocess.interpolation,
                                mean_bytes(preprocess, image.channels), policy);
  }
  if (augmentation.jitters()) image = jittered(std::move(image), augmentation, RandomWords(draw, i, WordsFor::jitter));
  return image;
}

CropBox resized_crop_box(Size2 size, double smallest, const Draw& draw, Index i) {
  RandomWords words(draw, i, WordsFor::crop);
  const auto whole = [](double x) { return static_cast<Index>(std::lrint(x)); };
  const auto height = static_cast<double>(size.height), width = static_cast<double>(size.width);
  const double narrowest = 3.0 / 4, widest = 4.0 / 3;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = height * width * words.uniform(smallest, 1);
    const double ratio = std::exp(words.uniform(std::log(narrowest), std::log(widest)));
    const Index w = whole(std::sqrt(area * ratio)), h = whole(std::sqrt(area / ratio));
    if (w < 1 || w > size.width || h < 1 || h > size.height) continue;
    const Index top = words.below(size.height - h + 1), left = words.below(size.width - w + 1);
    return {top, left, h, w};
  }
  // The largest part in the middle that is not too narrow or wide.
  const Index h = std::min(size.height, std::max<Index>(1, whole(width / narrowest)));
  const Index w = std::min(size.width, std::max<Index>(1, whole(height * widest)));
  return {(size.height - h) / 2, (size.width - w) / 2, h, w};
}

Image resized_crop(Image image, const Preprocess& preprocess, double smallest, const Draw& draw, Index i) {
  const auto [top, left, height, width] = resized_crop_box({image.height, image.width}, smallest, draw, i);
  std::vector<std::uint8_t> part;
  part.reserve(static_cast<std::size_t>(image.channels * height * width));
  for (Index c = 0; c < image.channels; ++c)
    for (Index y = top; y < top + height; ++y) {
      const auto line = image.bytes.begin() + (c * image.height + y) * image.width + left;
      part.insert(part.end(), line, line + width);
    }
  const Size2 size = preprocess.size;
  return {image.channels, size.height, size.width,
          resize(std::move(part), {height, width}, size, preprocess.interpolation)};
}

void erase(real* numbers, Index channels, Size2 size, const Augmentation& augmentation, const Draw& draw, Index i) {
  RandomWords words(draw, i, WordsFor::erasing), noise(draw, i, WordsFor::noise);
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
