// The parts of a data set that somebody has divided, told by the names of their folders.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/sets/find_files.h"

namespace bobbin {

/// A part of a data set.
enum class Split { none, train, val, test };

/// The part that a folder's name tells, and whether it tells nothing else.
struct SplitName {
  Split split = Split::none;
  bool only = false;
  bool operator==(const SplitName&) const = default;
};

/// The part is told by one of these words, as in the imagefolder of Hugging Face's datasets, whatever their case:
///
/// | part  | words                       |
/// |-------|-----------------------------|
/// | train | train, training             |
/// | val   | val, valid, validation, dev |
/// | test  | test, testing, eval, evaluation |
///
/// A word ends at whatever is no letter and before a capital, and may end in "set", "data" or "images":
/// "Training" and "train_set", "trainSet", "Trainset2" tell nothing else; "seg_train" and "bullet train" do. A name
/// with words for two parts ("trainval", "train-test") tells neither.
SplitName split_name(const std::string& folder);

/// Folders of the parts, in each of which the classes are; "" where there is none. Without a training set `dir` holds
/// the classes itself.
struct Parts {
  std::filesystem::path train, val;
  std::vector<std::filesystem::path> others;  ///< beside them
};

/// The parts in a folder: those of its folders that hold folders and have the name of a part. Of two names that tell
/// the same part, the one that is meant tells nothing else. Without a folder for validation it is the one to test.
/// Throws Error where there is a doubt: two folders for the same part, a part without a training set, pictures where
/// there should be folders. Throws std::filesystem::filesystem_error if a folder cannot be read.
Parts find_parts(const std::filesystem::path& dir);

/// A single folder in a folder, as an archive is unpacked: the innermost of these, in which there is more than one. It
/// stays outside of a folder that has the name of another part than `part`. Adds to `left_out` the files on the way.
std::filesystem::path unwrapped(std::filesystem::path folder, Split part, Files& left_out);

}  // namespace bobbin
