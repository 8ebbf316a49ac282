#pragma once
#include <filesystem>
#include <optional>

#include "data/sets/dataset.h"

namespace bobbin {

/// Pictures sorted into a folder for each class, as torchvision's ImageFolder wants them:
///
///     dir/cat/1.jpg       or, divided already,      dir/train/cat/1.jpg
///     dir/dog/2.png                                 dir/val/dog/2.png
///
/// Pictures are the files for which has_picture_name() is true, also in folders within the folder of a class; hidden
/// ones are left out. Classes have the names of their folders and are numbered in the order of the names.
///
/// A folder that holds folders, and whose name says so (split_name()), is a part of a divided data set: "Training",
/// "seg_train", "test_set". The training folder is trained on; validation is on the validation folder or, without one,
/// on the test folder. Without either, every tenth picture of each class is kept back to validate on, in the order of
/// their names. Where archives were unpacked there may be a single folder in a folder, such as
/// dir/seg_train/seg_train/cat: the classes are looked for within. A folder "train" that holds pictures only, beside
/// those of other classes, is a class of that name. `notes` of both parts says what was taken as what, and what was
/// left out.
///
/// Only the folders are read here. The pictures stay on disk, and are decoded, as grey or as colours (`channels` 1 or
/// 3), each time that a batch needs them; one that cannot be is named there, by read_image(). check_pictures() finds
/// those before.
/// Throws Error if there are not two classes or more, a class has no picture, or a name that is not UTF-8 or has
/// control characters, validation has a class that training has not, a folder cannot be read, or the names leave in
/// doubt what is a part and what a class: two folders that look like the training set; a test set without a training
/// set; train and test with pictures and no classes, or in a class.
TrainAndTest image_folder(const std::filesystem::path& dir, Index channels = 3);

/// The pictures of a test folder that lies beside one to validate on, of the classes, channels and preprocessing of
/// `data`, which image_folder(dir) gave; nothing where it validates on the test folder, or there is none. Throws Error
/// for two test folders, one without classes, and a class that `data` has not; and where there is none, if it is
/// needed.
std::optional<ImageDataset> images_to_test_on(const std::filesystem::path& dir, const TrainAndTest& data, bool needed);

}  // namespace bobbin
