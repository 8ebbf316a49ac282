#include "autograd/watch/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "autograd/ops.h"
#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

using Numbers = std::vector<real>;

double dot(const Numbers& a, const Numbers& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus{},
                            [](real x, real y) { return double{x} * y; });
}

double dot_of_magnitudes(const Numbers& a, const Numbers& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus{},
                            [](real x, real y) { return std::abs(double{x} * y); });
}

std::string index_of(const Shape& shape, Index flat) {
  std::string text = ")";
  for (int axis = shape.rank() - 1; axis >= 0; flat /= shape[axis--])
    text = (axis ? ", " : "") + std::to_string(flat % shape[axis]) + text;
  return "(" + text;
}

// f at x + step·v, as a difference quotient over both sides; x is left as it was.
Numbers difference(const std::function<Var()>& f, Var& leaf, const Tensor& v, real step) {
  Tensor x = leaf.mutable_value();
  const Tensor before = x.clone();
  const auto at = [&](real s) {
    x.assign(before + v * s);
    return f().value().clone();  // reshape(x) shares the numbers of x
  };
  const Tensor above = at(step), below = at(-step);
  x.assign(before);
  return ((above - below) / (2 * step)).values();
}

struct Comparison {
  double backward, finite_difference, error;
};

// Both sides of the identity and their relative error. The scale is what the two products are made of, so that terms
// that cancel do not magnify it. What y's own rounding, divided by epsilon, can make of a gradient of zero must stay
// within the tolerance: that is the last of the three scales.
Comparison compare(const std::function<Var()>& f, Var& leaf, const Numbers& gradient, const Tensor& direction,
                   const Numbers& u, const Numbers& y, const GradcheckOptions& options) {
  const Numbers v = direction.values(), Jv = difference(f, leaf, direction, static_cast<real>(options.epsilon));
  const double backward = dot(gradient, v), finite = dot(u, Jv);
  const double rounding = 4 * std::numeric_limits<real>::epsilon() / (options.epsilon * options.tolerance);
  const double scale =
      std::max({dot_of_magnitudes(gradient, v), dot_of_magnitudes(u, Jv), rounding * dot_of_magnitudes(u, y)});
  return {backward, finite, scale > 0 ? std::abs(backward - finite) / scale : std::abs(backward - finite)};
}

}  // namespace

void gradcheck(const std::string& name, const std::function<Var()>& f,
               const std::vector<std::pair<std::string, Var>>& leaves, GradcheckOptions options) {
  Rng rng(options.seed);
  const Tensor output = f().value();
  const Numbers y = output.values();
  check(y == f().value().values(), "gradcheck", name, " gives different results for the same inputs");
  const Tensor weights = rng.normal(output.shape());
  const Numbers u = weights.values();

  for (auto [leaf_name, leaf] : leaves) leaf.take_grad();
  {
    Tape tape;
    tape.backward(sum(f() * Var(weights)));
  }
  for (auto [leaf_name, leaf] : leaves) {
    check(leaf.grad().defined(), "gradcheck", name, " hands no gradient to its input ", leaf_name);
    const Numbers gradient = leaf.take_grad().values();
    const Comparison found = compare(f, leaf, gradient, rng.normal(leaf.shape()), u, y, options);
    if (found.error <= options.tolerance) continue;  // NaN is not

    // Somewhere it is wrong: look at one element at a time for the place to name.
    Index worst = 0;
    Comparison at_worst{0, 0, -1};
    for (Index i = 0; i < leaf.size(); ++i) {
      Numbers one(gradient.size());
      one[static_cast<std::size_t>(i)] = 1;
      const Comparison here = compare(f, leaf, gradient, Tensor(leaf.shape(), one), u, y, options);
      const auto distance = [](const Comparison& c) { return std::abs(c.backward - c.finite_difference); };
      if (at_worst.error < 0 || !(distance(here) <= distance(at_worst))) {
        worst = i;
        at_worst = here;
      }
    }
    fail("gradcheck", name, ": the gradient of input ", leaf_name, " is wrong, worst at index ",
         index_of(leaf.shape(), worst), ": backward ", at_worst.backward, ", finite difference ",
         at_worst.finite_difference, ", relative error ", at_worst.error, " (in a random direction ", found.error,
         ", tolerance ", options.tolerance, ")");
  }
}

void gradcheck(const std::string& name, const std::function<Var(const std::vector<Var>&)>& op,
               const std::vector<Shape>& input_shapes, GradcheckOptions options) {
  Rng rng(options.seed + 1);
  std::vector<Var> inputs;
  std::vector<std::pair<std::string, Var>> leaves;
  for (const Shape& shape : input_shapes) {
    inputs.push_back(Var::parameter(rng.normal(shape)));
    leaves.emplace_back(std::to_string(inputs.size() - 1), inputs.back());
  }
  gradcheck(
      name, [&] { return op(inputs); }, leaves, options);
}

}  // namespace bobbin
