// Data augmentation: training pictures flipped and moved at random.
#pragma once
#include "data/files/fields.h"
#include "data/images/image.h"
#include "tensor/rng.h"

namespace bobbin {

/// How the pictures of a training set are varied, each time that they are seen.
struct Augmentation {
  double hflip = 0;        ///< the probability that left and right change places, as torchvision's RandomHorizontalFlip
  Index crop_padding = 0;  ///< the picture moves by up to so many pixels up or down, and left or right; what is left
                           ///< free is black: torchvision's RandomCrop(size, padding)

  void fields(Fields& f) {
    f("hflip", hflip, {.help = "probability that a training picture is mirrored, left to right", .low = 0, .high = 1});
    f("crop_padding", crop_padding,
      {.help = "pixels by which a training picture is moved at most, up or down and left or right",
       .low = 0,
       .high = 4096});
  }

  bool on() const { return hflip > 0 || crop_padding > 0; }
};

/// The picture, varied by chance: by block i of the draw's random numbers, and by nothing else.
Image augment(Image image, const Augmentation& augmentation, const Draw& draw, Index i);

}  // namespace bobbin
