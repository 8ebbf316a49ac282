// Loss and accuracy on a data set.
#pragma once
#include <functional>

#include "data/sets/batches.h"
#include "data/sets/dataset.h"
#include "nn/module.h"

namespace bobbin {

/// Metrics of a model on a data set: means over its images.
struct Evaluation {
  double loss = 0;  ///< cross entropy
  double accuracy = 0;
};

/// Callback with the logits (B, classes) of each batch, in the order of the data set; on several ranks, of each of this
/// rank's own.
using EachBatch = std::function<void(const Tensor& logits, const Batch& batch)>;

/// Averaging over versions of a picture: over it and its mirror image.
enum class Tta { none, flip };

/// Runs the model in evaluation mode over the whole data set, and leaves it in that mode. Ends early, with what it has,
/// as soon as stop() is true. With Tta::flip the logits are the mean of those of each picture and of its mirror image
/// (test-time augmentation). Several ranks, all of which call it, share the batches, rank 0 having as many as any
/// other.
Evaluation evaluate(const ModuleRef& model, const ImageDataset& data, Index batch_size, const EachBatch& each = {},
                    const std::function<bool()>& stop = {}, Tta tta = Tta::none);

}  // namespace bobbin
