// Weights for images of another number of channels.
#pragma once
#include "data/files/safetensors.h"
#include "data/images/preprocess.h"

namespace bobbin {

/// Makes the weights of a model for images of `from` channels those of one for `to`. For 1 those of the first
/// convolution (O, from, H, W) are summed over the channels, otherwise they are repeated and multiplied by from / to,
/// so that what a grey picture gives stays the same: timm's adapt_input_conv (timm/models/_manipulate.py), which for 3
/// channels does nothing. mean and std become their averages, for each channel.
/// Throws Error unless there is one such convolution: an MLP has none.
void adapt_input_conv(NamedTensors& weights, Preprocess& preprocess, Index from, Index to);

}  // namespace bobbin
