// What the name of a folder says of the part of a data set that is in it.
#pragma once
#include <string>

namespace bobbin {

/// A part of a data set that somebody has divided.
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

}  // namespace bobbin
