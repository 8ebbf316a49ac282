#pragma once
#include <optional>

#include "data/images/image.h"
#include "nn/models/any_model.h"

/// What a model learned, as pictures.
namespace bobbin {

/// For each patch of a Vision Transformer a map: how alike its position embedding and those of all patches are, as the
/// cosine of their angle (Dosovitskiy et al., 2021, figure 7), from black, -1, to light yellow, 1. The maps lie as the
/// patches do. Nothing for another model, one whose positions are not learned, and more than 32 patches on a side.
std::optional<Image> position_similarity(AnyModel& model);

/// The filters of the first convolution that sees the image's channels, or of the patch embedding: up to 64, those with
/// the largest weights first. 0 is grey, and each filter's largest weight black or white. Nothing for a model without
/// one whose filters have 3 to 32 pixels on a side.
std::optional<Image> first_filters(AnyModel& model);

}  // namespace bobbin
