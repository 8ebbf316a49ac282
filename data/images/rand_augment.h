#pragma once
#include <cstdint>
#include <vector>

#include "data/images/image.h"
#include "data/images/preprocess.h"
#include "data/images/random_words.h"

namespace bobbin {

/// RandAugment (Cubuk et al., 2020) as torchvision has it: `count` operations of photometric.h, each drawn from 14, at
/// a strength of `magnitude`, from 0 to 30, and with a sign by a coin.
Image rand_augment(Image image, int count, int magnitude, RandomWords& words);

/// RandAugment as timm has it, "rand-mM-nN-mstd0.5-inc1", about three times as strong: each of `count` operations, of
/// 15, is done with a probability of one half, at a strength that is normal around `magnitude`, with a deviation of
/// 0.5, and cut off at 0 and 10. Turned pictures are interpolated by this filter; beyond their borders is `fill`, a
/// byte a channel.
Image timm_rand_augment(Image image, int count, int magnitude, Interpolation filter,
                        const std::vector<std::uint8_t>& fill, RandomWords& words);

/// TrivialAugmentWide (Müller, Hutter, 2021) as torchvision has it: one of these operations at a strength that is
/// drawn, too, from a wider range. Pictures move by up to 32 pixels, whatever their size.
Image trivial_augment_wide(Image image, RandomWords& words);

}  // namespace bobbin
