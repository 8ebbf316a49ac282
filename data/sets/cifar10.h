#pragma once
#include <filesystem>

#include "data/sets/dataset.h"

namespace bobbin {

/// CIFAR-10 (Krizhevsky, 2009), the "binary version": 50,000 coloured images of 32 x 32 to train on and 10,000 to
/// validate, of ten classes. Its files data_batch_1.bin ... data_batch_5.bin and test_batch.bin are looked for in `dir`
/// and in dir/cifar-10-batches-bin. A file is any number of records of 3073 bytes: the class from 0 to 9, then red,
/// green and blue, each of them 32 x 32. The classes have the names in batches.meta.txt, or, without it, the published.
/// Throws Error, which names the file, if one is missing, has a part of a record, or a class of 10 or more.
TrainAndTest cifar10(const std::filesystem::path& dir);

}  // namespace bobbin
