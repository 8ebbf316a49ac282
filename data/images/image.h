#pragma once
#include <cstdint>
#include <vector>

#include "data/images/preprocess.h"
#include "tensor/tensor.h"

namespace bobbin {

/// A picture: grey with one channel, or red, green and blue.
struct Image {
  Index channels = 0, height = 0, width = 0;
  std::vector<std::uint8_t> bytes;  ///< (C, H, W), 0 is black, 255 is white
};

/// The luma of a colour, as in Pillow's convert("L"): ITU-R 601's, rounded.
inline std::uint8_t luma(int red, int green, int blue) {
  return static_cast<std::uint8_t>((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16);
}

/// The picture with 1 channel or 3: grey is repeated, of colours the luma is taken.
/// Throws Error unless both numbers are 1 or 3, or equal.
Image with_channels(Image image, Index channels);

/// Resizes the picture to preprocess.size and cuts off what crop_pct leaves out; bytes to bytes. To the bit what
/// torchvision's Resize and CenterCrop make of a PIL image, and where size is no square timm's ResizeKeepRatio.
/// Throws Error for a crop_pct out of its range, and where resize() does.
Image fit(Image image, const Preprocess& preprocess);

/// The picture made smaller, its proportions kept, so that no side is longer than `longest`; one that is not stays as
/// it is. Throws Error if `longest` is not 1 or more, and where resize() does.
Image thumbnail(Image image, Index longest);

/// The numbers of the picture, as torchvision's ToTensor and Normalize compute them: byte / 255, then (number - mean) /
/// std for each channel. Writes one to `out` for each byte.
/// Throws Error unless mean and std are empty or have a number for each channel, and std is positive.
void to_numbers(const Image& image, const Preprocess& preprocess, real* out);

/// The picture as a model wants it: (1, C, size.height, size.width).
Tensor to_tensor(const Image& image, const Preprocess& preprocess);

}  // namespace bobbin
