#pragma once
#include <filesystem>

#include "data/sets/batches.h"

/// A batch as the model sees it, in a file.
namespace bobbin {

/// Draws the pictures of a batch, 256 at most, their normalisation undone and cut off at black and white, each with its
/// class, or with mixup and CutMix the shares of its classes: "0.70 shirt, 0.30 coat". Throws Error if the file cannot
/// be written.
void show_batch(const Batch& batch, const ImageDataset& data, const std::filesystem::path& file);

}  // namespace bobbin
