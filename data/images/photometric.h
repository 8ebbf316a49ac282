// Operations on a picture's colours, and where its pixels lie: bytes to bytes, to the bit those of Pillow 13.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "data/images/image.h"

namespace bobbin {

// A factor of 1 leaves the picture as it is, one of 0 makes it black, one even grey, grey, or smooth; others go on in
// that direction: Pillow's ImageEnhance, torchvision's adjust_*.
Image brightness(Image image, float factor);
Image contrast(Image image, float factor);
Image saturation(Image image, float factor);
Image sharpness(Image image, float factor);
/// Turns hues by so many rounds, from -0.5 to 0.5: torchvision's adjust_hue, in steps of 1/255.
Image hue(Image image, double rounds);

// Pillow's ImageOps.
Image invert(Image image);
/// Keeps the upper bits of each byte, 0 to 8 of them.
Image posterize(Image image, int bits);
/// Inverts what is as bright as the threshold or brighter.
Image solarize(Image image, double threshold);
/// Adds to what is darker than 128, up to 255: timm's solarize_add.
Image solarize_add(Image image, int add);
/// Stretches each channel to go from 0 to 255.
Image autocontrast(Image image);
/// Makes all values of a channel about as frequent.
Image equalize(Image image);

// Without interpolation; black where there is nothing. torchvision's affine and rotate on a PIL image.
Image shear_x(const Image& image, double tangent);
Image shear_y(const Image& image, double tangent);
/// Moves the picture to the right, and down.
Image translate(const Image& image, Index right, Index down);
/// Turns the picture around its centre, to the left.
Image rotate(const Image& image, double degrees);

/// With interpolation: (x, y) of the result is what lies at (a x + b y + c, d x + e y + f), both counted from the
/// corner of the picture; beyond its borders is `fill`, a byte a channel. Image.transform(size, AFFINE, matrix,
/// filter).
Image affine(const Image& image, const std::array<double, 6>& matrix, Interpolation filter,
             const std::vector<std::uint8_t>& fill);
/// The matrix by which Image.rotate() turns a picture of this size to the left.
std::array<double, 6> rotation(Size2 size, double degrees);

}  // namespace bobbin
