#pragma once
#include <utility>

#include "data/sets/batches.h"
#include "data/sets/dataset.h"
#include "nn/distillation.h"
#include "nn/pretrained/model_file.h"
#include "optim/training/trainer.h"

/// Learning from another model beside the labels.
namespace bobbin {

/// A trained model that another one, the student, learns from. It stays in evaluation mode, and no tape records it.
class Teacher {
 public:
  /// Of a student that learns these images in batches of that size. Throws Error, which says what would be right, for a
  /// teacher of other classes, or who sees images of another size or number of channels.
  Teacher(Classifier teacher, const ImageDataset& images, Index batch_size);

  /// Images (B, C, H, W) as the student sees them -> logits (B, classes). Where the teacher was trained with another
  /// mean and deviation, it is given the same pixels with these. Where there are fewer images than a batch has, or this
  /// rank's part of it, zeros fill it up: matrix products may round another number of rows in another way.
  Tensor operator()(const Tensor& images);
  /// The same of a batch: looked up, once the logits are stored.
  Tensor operator()(const Batch& batch);

  /// Asks for the logits of all images now, and where some will be flipped of their mirror images, if there are no more
  /// versions of them and the logits fit into a gigabyte. Several ranks share the work. They are asked for in the order
  /// of the data set, whatever the order in training: a run that is resumed stores the same ones. Returns whether they
  /// are stored.
  bool store(const ImageDataset& images, const Augmentation& augmentation);

 private:
  AnyModel model_;
  Index batch_size_;
  Tensor factor_, shift_;  // (C, 1, 1), from the student's numbers to the teacher's; undefined if they are the same
  Tensor stored_;          // (N, classes), or (2·N, classes) with the mirror images; undefined unless stored
  Index count_ = 0;        // N
};

/// The loss of a student: that of the labels on one head, and of the teacher on the other, see Distillation and
/// both_heads(). Their mean counts as what was recognised. Refers to the model and the teacher.
template <class Model>
LossOfBatch learn_from(Teacher& teacher, Model& model, Loss loss, Distillation distillation) {
  return [&, loss = std::move(loss), distillation](const Batch& b) -> BatchLoss {
    const auto [of_labels, of_teacher] = both_heads(model, b.images);
    const Var of_targets = loss(of_labels, b.targets ? Targets(*b.targets) : Targets(b.labels));
    return {distillation(of_targets, of_teacher, teacher(b)), (of_labels.value() + of_teacher.value()) / 2};
  };
}

}  // namespace bobbin
