#pragma once
#include <filesystem>

#include "data/sets/dataset.h"

namespace bobbin {

/// The data set in `dir`, whichever it is: Fashion-MNIST, MNIST and others in its files, CIFAR-10, or pictures in a
/// folder for each class, as idx_data(), cifar10() and image_folder() describe them. Without a `dir`: Fashion-MNIST,
/// where it usually is. A single mean or std in `preprocess` is for all channels. `channels` is for pictures: 1, grey,
/// or 3; 0 leaves it to the data set, 3 for pictures. Throws Error if `dir` holds none of these, the data set has
/// another number of channels, and where those functions do.
TrainAndTest image_data(const std::filesystem::path& dir, Preprocess preprocess, Index channels = 0);

}  // namespace bobbin
