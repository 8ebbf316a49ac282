#pragma once
#include <cstdint>
#include <vector>

#include "data/images/preprocess.h"

namespace bobbin {

/// Grey images, or colour planes, in another size: (count, from.height, from.width) to (count, to.height, to.width),
/// bytes to bytes, on all threads. To the bit what Pillow's `image.resize(to, BILINEAR)` or `BICUBIC` computes up to
/// version 12, and with it torchvision's Resize on PIL images. Throws Error unless the bytes are whole planes and each
/// side has 1 to 16384 pixels.
std::vector<std::uint8_t> resize(std::vector<std::uint8_t> planes, Size2 from, Size2 to,
                                 Interpolation interpolation = Interpolation::bilinear);

}  // namespace bobbin
