#pragma once
#include <filesystem>

#include "data/sets/dataset.h"

namespace bobbin {

/// What becomes of a data set whose images are not in files and have another number of channels than is wanted.
enum class IfOther {
  refuse,
  convert,  ///< as with_channels() does, which a note says
  keep      ///< it stays as it is, and preprocess is the one that was given
};

/// The data set in `dir`, whichever it is: Fashion-MNIST, MNIST and others in its files, CIFAR-10, or pictures in a
/// folder for each class, as idx_data(), cifar10() and image_folder() describe them. Without a `dir`: Fashion-MNIST,
/// where it usually is. A single mean or std in `preprocess` is for all channels.
/// `channels` is for pictures in files: 1, grey, or 3; 0 leaves it to the data set, 3 for pictures.
/// Throws Error if `dir` holds none of these, for another number of channels if that is to be refused, and where those
/// functions do.
TrainAndTest image_data(const std::filesystem::path& dir, Preprocess preprocess, Index channels = 0,
                        IfOther other = IfOther::refuse);

}  // namespace bobbin
