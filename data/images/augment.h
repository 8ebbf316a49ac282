// Data augmentation: training pictures flipped and moved at random.
#pragma once
#include "data/files/fields.h"
#include "data/images/image.h"
#include "tensor/rng.h"

namespace bobbin {

/// Augmentation of training pictures, drawn anew each time that they are seen.
struct Augmentation {
  double hflip = 0;        ///< the probability of a horizontal flip: torchvision's RandomHorizontalFlip
  Index crop_padding = 0;  ///< the picture moves by up to so many pixels up or down, and left or right; what is left
                           ///< free is black: torchvision's RandomCrop(size, padding)

  void fields(Fields& f) {
    f("hflip", hflip, {.help = "probability of flipping a training image left to right", .low = 0, .high = 1});
    f("crop_padding", crop_padding,
      {.help = "shift training images at random by up to this many pixels in each direction", .low = 0, .high = 4096});
  }

  bool on() const { return hflip > 0 || crop_padding > 0; }
};

/// The picture, augmented at random: a pure function of block i of the draw.
Image augment(Image image, const Augmentation& augmentation, const Draw& draw, Index i);

}  // namespace bobbin
