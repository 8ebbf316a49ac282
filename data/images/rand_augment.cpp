#include "data/images/rand_augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "data/images/photometric.h"

namespace bobbin {
namespace {

enum Operation {
  identity,
  shear_along_x,
  shear_along_y,
  translate_along_x,
  translate_along_y,
  turn,
  brighten,
  colour,
  contrasting,
  sharpen,
  posterizing,
  solarizing,
  stretch,
  equalizing,
  operations
};
constexpr int levels = 31;  // of strength, 0 to 30

bool has_levels(int operation) { return operation != identity && operation < stretch; }
bool has_sign(int operation) { return operation >= shear_along_x && operation <= sharpen; }

// Element i of torch.linspace(0, high, 31), in float. Beyond the middle it counts down from the end.
double linspace(double high, int i) {
  const float end = static_cast<float>(high), step = end / (levels - 1);
  return static_cast<float>(i < levels / 2 ? double{step} * i : end - double{step} * (levels - 1 - i));
}

// The strength of an operation, by the ranges of RandAugment or of TrivialAugmentWide.
double strength(int operation, int level, bool wide, const Image& image) {
  const auto share = [](Index side) { return 150.0 / 331.0 * static_cast<double>(side); };
  switch (operation) {
    case shear_along_x:
    case shear_along_y:
      return linspace(wide ? 0.99 : 0.3, level);
    case translate_along_x:
      return linspace(wide ? 32 : share(image.width), level);
    case translate_along_y:
      return linspace(wide ? 32 : share(image.height), level);
    case turn:
      return linspace(wide ? 135 : 30, level);
    case posterizing:
      return 8 - std::nearbyint(static_cast<float>(level) / (wide ? 5.0F : 7.5F));
    case solarizing:
      return 255 - 8.5 * level;
    default:
      return linspace(wide ? 0.99 : 0.9, level);
  }
}

Image apply(Image image, int operation, double m) {
  const auto factor = static_cast<float>(1 + m);
  switch (operation) {
    case shear_along_x:
      return shear_x(image, m);
    case shear_along_y:
      return shear_y(image, m);
    case translate_along_x:
      return translate(image, static_cast<Index>(m), 0);
    case translate_along_y:
      return translate(image, 0, static_cast<Index>(m));
    case turn:
      return rotate(image, m);
    case brighten:
      return brightness(std::move(image), factor);
    case colour:
      return saturation(std::move(image), factor);
    case contrasting:
      return contrast(std::move(image), factor);
    case sharpen:
      return sharpness(std::move(image), factor);
    case posterizing:
      return posterize(std::move(image), static_cast<int>(m));
    case solarizing:
      return solarize(std::move(image), m);
    case stretch:
      return autocontrast(std::move(image));
    case equalizing:
      return equalize(std::move(image));
    default:
      return image;
  }
}

// One operation; its strength is drawn if `level` is negative.
Image one(Image image, int level, bool wide, RandomWords& words) {
  const int operation = static_cast<int>(words.below(operations));
  if (level < 0 && has_levels(operation)) level = static_cast<int>(words.below(levels));
  double m = has_levels(operation) ? strength(operation, level, wide, image) : 0;
  if (has_sign(operation) && words.below(2) == 1) m = -m;
  return apply(std::move(image), operation, m);
}

}  // namespace

Image rand_augment(Image image, int count, int magnitude, RandomWords& words) {
  for (int i = 0; i < count; ++i) image = one(std::move(image), magnitude, false, words);
  return image;
}

Image timm_rand_augment(Image image, int count, int magnitude, Interpolation filter,
                        const std::vector<std::uint8_t>& fill, RandomWords& words) {
  std::vector<Index> operations;
  for (int i = 0; i < count; ++i) operations.push_back(words.below(15));
  const auto width = static_cast<double>(image.width), height = static_cast<double>(image.height);
  for (const Index operation : operations) {
    if (words.uniform() > 0.5) continue;
    const double level = std::clamp(magnitude + 0.5 * words.normal(), 0.0, 10.0) / 10;
    const auto signed_level = [&](double most) { return words.uniform() > 0.5 ? -level * most : level * most; };
    const auto factor = [&] { return static_cast<float>(std::max(0.1, 1 + signed_level(0.9))); };
    const auto moved = [&](const std::array<double, 6>& matrix) { return affine(image, matrix, filter, fill); };
    switch (operation) {
      case 0:
        image = autocontrast(std::move(image));
        break;
      case 1:
        image = equalize(std::move(image));
        break;
      case 2:
        image = invert(std::move(image));
        break;
      case 3:
        image = moved(rotation({image.height, image.width}, signed_level(30)));
        break;
      case 4:
        image = posterize(std::move(image), 4 - static_cast<int>(level * 4));
        break;
      case 5:
        image = solarize(std::move(image), 256 - static_cast<int>(level * 256));
        break;
      case 6:
        image = solarize_add(std::move(image), static_cast<int>(level * 110));
        break;
      case 7:
        image = saturation(std::move(image), factor());
        break;
      case 8:
        image = contrast(std::move(image), factor());
        break;
      case 9:
        image = brightness(std::move(image), factor());
        break;
      case 10:
        image = sharpness(std::move(image), factor());
        break;
      case 11:
        image = moved({1, signed_level(0.3), 0, 0, 1, 0});
        break;
      case 12:
        image = moved({1, 0, 0, signed_level(0.3), 1, 0});
        break;
      case 13:
        image = moved({1, 0, signed_level(0.45) * width, 0, 1, 0});
        break;
      default:
        image = moved({1, 0, 0, 0, 1, signed_level(0.45) * height});
        break;
    }
  }
  return image;
}

Image trivial_augment_wide(Image image, RandomWords& words) { return one(std::move(image), -1, true, words); }

}  // namespace bobbin
