#pragma once
#include <string>
#include <vector>

#include "data/image.h"

namespace bobbin {

/// A picture of what a classifier takes for what: counts[t][p] images of class t were taken for class p. Rows are the
/// true classes, columns the predicted ones. A cell is the darker, the larger its part of its row; where there is none
/// it stays empty. Of a name the first 40 letters are drawn.
/// Throws Error unless there is a name for each row and column and no count is negative, and for more than 200
/// classes, for which a picture has no room.
Image confusion_matrix_picture(const std::vector<std::vector<Index>>& counts,
                               const std::vector<std::string>& class_names);

}  // namespace bobbin
