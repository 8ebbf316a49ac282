#pragma once
#include <utility>
#include <vector>

#include "data/sets/dataset.h"
#include "tensor/rng.h"

/// A part of the training images kept back to validate on, so that the test images decide nothing; or used alone.
namespace bobbin {

/// The images of these numbers, in this order. Throws Error if there is none, and unless each is from 0 to data.count()
/// - 1.
ImageDataset subset(const ImageDataset& data, const std::vector<Index>& which);

/// Divides the images at random, each class by itself (stratified): the second part has `fraction` of those of each
/// class, to the nearest whole number, the first the others, at least one of each class. Both keep the order of `data`.
/// Throws Error unless 0 < fraction < 1, and if no image would be in the second.
std::pair<ImageDataset, ImageDataset> hold_out(const ImageDataset& data, double fraction, Rng rng);

/// A share of the images of each class at random, to the nearest whole number, at least one, in the order of `data`.
/// Throws Error unless 0 < share < 1.
ImageDataset share_of(const ImageDataset& data, double share, Rng rng);

}  // namespace bobbin
