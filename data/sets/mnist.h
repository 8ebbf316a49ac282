// Data sets in the files of MNIST, whatever they are of.
#pragma once
#include <filesystem>
#include <optional>

#include "data/sets/dataset.h"

namespace bobbin {

/// The data set of four IDX files, images and labels to train on and to test: MNIST (LeCun et al., 1998) and those that
/// come as it does, Fashion-MNIST, KMNIST, EMNIST. They are looked for in `dir`, in dir/raw, and in dir/MNIST/raw,
/// dir/FashionMNIST/raw, ..., where torchvision keeps them; each may be packed by gzip, have a folder of its own name
/// around it, and any of the names that are in use:
///
///     train-images-idx3-ubyte.gz   train-images.idx3-ubyte   train_images.idx   emnist-letters-test-images-idx3-ubyte
///
/// Only Fashion-MNIST is known by its content, and then must be all that was published. The classes of KMNIST have the
/// names that torchvision gives them if the folder is called so; all others are called by their numbers, as many as
/// there are labels, and at least 10 if the folder is called MNIST.
///
/// Nothing if there is no such file. Throws Error if some of the four are missing, there are several data sets, the
/// files do not fit together, or one cannot be read.
std::optional<TrainAndTest> idx_data(const std::filesystem::path& dir);

}  // namespace bobbin
