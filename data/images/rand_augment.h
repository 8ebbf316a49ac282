#pragma once
#include "data/images/image.h"
#include "data/images/words.h"

namespace bobbin {

/// RandAugment (Cubuk et al., 2020) as torchvision has it: `count` operations of photometric.h, each drawn from 14, at
/// a strength of `magnitude`, from 0 to 30, and with a sign by a coin.
Image rand_augment(Image image, int count, int magnitude, Words& words);

/// TrivialAugmentWide (Müller, Hutter, 2021) as torchvision has it: one of these operations at a strength that is
/// drawn, too, from a wider range. Pictures move by up to 32 pixels, whatever their size.
Image trivial_augment_wide(Image image, Words& words);

}  // namespace bobbin
