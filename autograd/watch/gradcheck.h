// Compares the gradients of any function with finite differences.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.h"

namespace bobbin {

/// Options of gradcheck(). The defaults suit `real`: in double gradients are checked to 1e-6; in float finite
/// differences have too few digits for more than a rough look.
struct GradcheckOptions {
  double epsilon = sizeof(real) == 8 ? 1e-5 : 1e-2;    ///< step of the finite differences
  double tolerance = sizeof(real) == 8 ? 1e-6 : 2e-2;  ///< largest relative error
  std::uint64_t seed = 0;                              ///< of the random directions
};

/// Compares the gradients that backward() computes for Y = f() with finite differences: for each of the named leaves
/// (parameters that f uses) in a random direction v, and a random cotangent u, it checks
///
///     <u, (f(x + εv) - f(x - εv)) / 2ε>  =  <Jᵀu, v>
///
/// (as HIPS/autograd does): two evaluations a leaf, whatever its size. A cotangent of ones would be
/// blind: the sum of a softmax is constant, so any scaling error passes.
/// Gradients that have arrived in the leaves before are dropped.
/// Throws Error at a difference, naming f, the leaf, the index of its worst element, both numbers and the error; and if
/// f gives two results for the same input (dropout needs the same draw each time).
void gradcheck(const std::string& name, const std::function<Var()>& f,
               const std::vector<std::pair<std::string, Var>>& leaves, GradcheckOptions options = {});

/// The same for an op as a function of inputs, which are made of normal random numbers:
///
///     gradcheck("swish", [](const std::vector<Var>& in) { return swish(in[0]); }, {{3, 5}});
void gradcheck(const std::string& name, const std::function<Var(const std::vector<Var>&)>& op,
               const std::vector<Shape>& input_shapes, GradcheckOptions options = {});

}  // namespace bobbin
