// Mixup and CutMix: the pictures of a batch mixed in pairs, and their targets with them.
#pragma once
#include "data/images/augment.h"
#include "tensor/tensor.h"

namespace bobbin {

/// How a batch is mixed: picture i with picture B-1-i, which timm calls its flip. Each keeps the share `kept` of
/// itself: of each number, mixup (Zhang et al., 2018); or where `cut` all but the rectangle of these borders, CutMix
/// (Yun et al., 2019). The targets are mixed by the same share.
struct BatchMix {
  double kept = 1;
  bool cut = false;
  Index top = 0, bottom = 0, left = 0, right = 0;
};

/// The mix of a batch of pictures of `size`, whose first is the i-th of the draw: timm's Mixup in its mode "batch".
/// The share is a number of the distribution Beta(alpha, alpha); the rectangle takes 1 - share of the picture, lies
/// around any pixel, and is cut off at the border, whereupon the share is what it really keeps.
BatchMix draw_mix(const Augmentation& augmentation, Size2 size, const Draw& draw, Index i);

/// Mixes numbers (B, C, size.height, size.width) in place.
void mix_pictures(real* numbers, Index batch, Index channels, Size2 size, const BatchMix& mix);

/// Writes the targets, probabilities (B, classes): `kept` for an image's own class, the rest for the other's.
void mix_targets(const Labels& labels, Index classes, const BatchMix& mix, real* targets);

}  // namespace bobbin
