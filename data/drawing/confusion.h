// The confusion matrix: which class is taken for which, counted and as a picture.
#pragma once
#include <string>
#include <vector>

#include "data/images/image.h"

namespace bobbin {

/// Confusion matrix: counts of (true class, predicted class).
class ConfusionMatrix {
 public:
  /// Throws Error unless there is a class.
  explicit ConfusionMatrix(Index num_classes);

  /// Counts an image of class `truth` that was predicted as `predicted`. Throws Error if there is no such class.
  void add(int truth, int predicted);

  /// The number of classes.
  Index num_classes() const { return static_cast<Index>(counts_.size()); }
  /// counts()[t][p] images of class t were predicted as class p.
  const std::vector<std::vector<Index>>& counts() const { return counts_; }
  /// The number of images: all, those of a class, and those predicted as it.
  Index total() const;
  Index of(Index c) const;
  Index taken_for(Index c) const;

  /// Of the images predicted as the class, the share that is of it; NaN if there are none.
  double precision(Index c) const;
  /// Of the images of the class, the share predicted as it; NaN if there are none.
  double recall(Index c) const;
  /// 2 TP / (2 TP + FP + FN), the harmonic mean of both; NaN for a class that neither occurs nor is predicted.
  double f1(Index c) const;

  /// The means of f1() and recall() over the classes that have one: scikit-learn's f1_score(average="macro",
  /// zero_division=0) and balanced_accuracy_score(). NaN without images.
  double macro_f1() const;
  double balanced_accuracy() const;
  /// The class with the most images, the first of several: always to say it would have the accuracy of its share.
  Index largest_class() const;

 private:
  std::vector<std::vector<Index>> counts_;
};

/// A picture of a confusion matrix: counts[t][p] images of class t were predicted as class p. Rows are the true
/// classes, columns the predicted ones. A cell is the darker, the larger its part of its row; where there is none
/// it stays empty. Of a name the first 40 letters are drawn.
/// Throws Error unless there is a name for each row and column and no count is negative, and for more than 200
/// classes, for which a picture has no room.
Image confusion_matrix_picture(const std::vector<std::vector<Index>>& counts,
                               const std::vector<std::string>& class_names);

}  // namespace bobbin
