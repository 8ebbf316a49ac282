#pragma once
#include <filesystem>
#include <vector>

#include "data/sets/dataset.h"

namespace bobbin {

/// Pictures sorted into a folder for each class, as torchvision's ImageFolder wants them:
///
///     dir/cat/1.jpg       or, divided already,      dir/train/cat/1.jpg
///     dir/dog/2.png                                 dir/val/dog/2.png       (or dir/valid, or dir/test)
///
/// Pictures are .jpg, .jpeg and .png, in capitals or not, also in folders within the folder of a class; other files,
/// and hidden ones, are left out. Classes have the names of their folders and are numbered in the order of the names.
/// Where there is none of dir/val, dir/valid and dir/test beside dir/train, or no dir/train, every tenth picture of
/// each class is kept back to validate on, in the order of their names. A dir/train with pictures only, and none of
/// these beside it, is a class of that name.
///
/// Only the folders are read here. The pictures stay on disk, and are decoded, as grey or as colours (`channels` 1 or
/// 3), each time that a batch needs them; one that cannot be is named there, by read_image().
/// Throws Error if there are not two classes or more, a class has no picture, validation has a class that training has
/// not, or a folder cannot be read.
TrainAndTest image_folder(const std::filesystem::path& dir, Index channels = 3);

/// The .jpg, .jpeg and .png files in a folder and in the folders within, in the order of their names; hidden ones are
/// left out, and links to folders are not followed. Throws std::filesystem::filesystem_error if a folder cannot be
/// read.
std::vector<std::filesystem::path> find_pictures(const std::filesystem::path& folder);

}  // namespace bobbin
