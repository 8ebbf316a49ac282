// The training curves of one run or several, as SVG.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace bobbin {

/// Values over the epochs: (epoch, value). Where a value is not finite the line has a gap.
using Points = std::vector<std::pair<double, double>>;

/// The curves of one training run.
struct Curves {
  std::string name;
  Points train_loss{}, val_loss{}, val_acc{};
};

/// Draws a run as d2l.ai does (d2l.ProgressBoard): over the epochs, on one axis, train_loss solid, val_loss dashed
/// and val_acc dash-dotted, in matplotlib's colours. Of several runs, each has a colour of its own, and the accuracies
/// an axis of their own, on which small differences can be seen. Returns an SVG picture on a white ground.
///
/// Losses go from 0, or from the lowest where that is below 0, to the highest, unless a spike would press all the rest
/// flat: let h be three times the median of |loss|, or the highest accuracy where that is higher. If a loss is above
/// 3·h, the axis ends at h, and the picture says so.
std::string curves_svg(const std::vector<Curves>& runs);

}  // namespace bobbin
