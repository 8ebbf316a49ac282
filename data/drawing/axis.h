#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

/// Round numbers along an axis.
namespace bobbin {

/// 1, 2 or 5 times a power of ten: the smallest that is not below `least`, which is positive.
inline double round_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1, 2, 5})
    if (factor * power >= least) return factor * power;
  return 10 * power;
}

/// Numbers from begin to end, with ticks at multiples of step, of which begin is one.
struct Axis {
  double begin, end, step;

  /// Where a value lies: 0 at the begin, 1 at the end.
  double part(double value) const { return (value - begin) / (end - begin); }
  std::vector<double> ticks() const {
    const int count = static_cast<int>((end - begin) / step + 1.000001);
    std::vector<double> all;
    for (int i = 0; i < count; ++i) all.push_back((std::round(begin / step) + i) * step);
    return all;
  }
};

/// Wide enough for both values, from one tick to another, with steps of at least a `steps`th of what is between them.
inline Axis axis_of(double low, double high, int steps = 8) {
  if (low == high) low = std::min(low, 0.0), high = std::max(high, 1.0);
  const double step = round_step((high - low) / steps);
  return {step * std::floor(low / step + 1e-6), step * std::ceil(high / step - 1e-6), step};
}

}  // namespace bobbin
