#pragma once
#include <vector>

#include "data/drawing/confusion.h"
#include "data/sets/dataset.h"
#include "nn/models/any_model.h"
#include "optim/training/evaluate.h"

/// What a model makes of each image of a data set.
namespace bobbin {

struct Mistake {
  Index image;
  int predicted;
  double probability, loss;  ///< of the predicted class; minus the logarithm of the right one's probability
};

struct Judgement {
  Evaluation means;
  ConfusionMatrix confusion;
  std::vector<Mistake> mistakes;  ///< the worst first
};

/// Asks the model about all images, which several ranks share; all learn all of it. Throws Error where its logits are
/// not finite.
Judgement judge(AnyModel& model, const ImageDataset& data, Index batch_size);

}  // namespace bobbin
