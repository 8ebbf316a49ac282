#include "data/images/augment.h"

#include <algorithm>

namespace bobbin {
namespace {

// The part of the picture, of its size, whose upper left corner is (top, left); black beyond the picture's borders.
Image moved(const Image& image, Index top, Index left) {
  const Index height = image.height, width = image.width;
  Image result{image.channels, height, width, std::vector<std::uint8_t>(image.bytes.size())};
  const Index begin = std::max<Index>(0, -left), end = std::min(width, width - left);
  if (begin >= end) return result;
  for (Index c = 0; c < image.channels; ++c)
    for (Index y = std::max<Index>(0, -top); y < std::min(height, height - top); ++y)
      std::copy_n(image.bytes.begin() + ((c * height + y + top) * width + begin + left), end - begin,
                  result.bytes.begin() + ((c * height + y) * width + begin));
  return result;
}

void flip(Image& image) {
  for (auto line = image.bytes.begin(); line != image.bytes.end(); line += image.width)
    std::reverse(line, line + image.width);
}

}  // namespace

Image augment(Image image, const Augmentation& augmentation, const Draw& draw, Index i) {
  const auto [flipped, down, right, unused] = draw.block(static_cast<std::uint64_t>(i));
  if (const Index padding = augmentation.crop_padding; padding > 0) {
    // A word in [0, 2^32) as a whole number in [-padding, padding].
    const auto shift = [=](std::uint64_t word) {
      return static_cast<Index>(word * static_cast<std::uint64_t>(2 * padding + 1) >> 32) - padding;
    };
    image = moved(image, shift(down), shift(right));
  }
  if (flipped < augmentation.hflip * 0x1p32) flip(image);
  return image;
}

}  // namespace bobbin
