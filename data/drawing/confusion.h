// The confusion matrix: which class is taken for which, counted and as a picture.
#pragma once
#include <string>
#include <vector>

#include "data/images/image.h"

namespace bobbin {

/// How often each class was taken for each.
class ConfusionMatrix {
 public:
  /// Throws Error unless there is a class.
  explicit ConfusionMatrix(Index num_classes);

  /// Notes an image of class `truth` that was taken for `predicted`. Throws Error if there is no such class.
  void add(int truth, int predicted);

  Index num_classes() const { return static_cast<Index>(counts_.size()); }
  /// counts()[t][p] images of class t were taken for class p.
  const std::vector<std::vector<Index>>& counts() const { return counts_; }
  /// How many images there are, are of a class, and were taken for it.
  Index total() const;
  Index of(Index c) const;
  Index taken_for(Index c) const;

  /// The share of all images that was recognised; NaN if there are none, as below.
  double accuracy() const;
  /// Of what was taken for the class, the share that is of it.
  double precision(Index c) const;
  /// Of what is of the class, the share that was taken for it.
  double recall(Index c) const;

 private:
  std::vector<std::vector<Index>> counts_;
};

/// A picture of what a classifier takes for what: counts[t][p] images of class t were taken for class p. Rows are the
/// true classes, columns the predicted ones. A cell is the darker, the larger its part of its row; where there is none
/// it stays empty. Of a name the first 40 letters are drawn.
/// Throws Error unless there is a name for each row and column and no count is negative, and for more than 200
/// classes, for which a picture has no room.
Image confusion_matrix_picture(const std::vector<std::vector<Index>>& counts,
                               const std::vector<std::string>& class_names);

}  // namespace bobbin
