// Exercise 6: the VJPs of a convolution along a line. `make lesson-6` checks them.
#pragma once
#include <bobbin.h>

namespace exercise {
using namespace bobbin;

/// y_i = Σ_k w_k x_(i+k): the filter w, of K numbers, in each of its N - K + 1 places on x, of N numbers.
inline Var convolve(const Var& x, const Var& w) {
  const Tensor X = x.value(), W = w.value();
  const Index K = W.size(), places = X.size() - K + 1;
  Tensor Y = Tensor::zeros({places});
  for (Index k = 0; k < K; ++k) Y = Y + W[k] * slice(X, 0, k, k + places);
  return record("convolve", Y,
                {{x,
                  [=](Tensor dY) -> Tensor {
                    return pad(W[0] * dY, 0, 0, K - 1);  // yours: this is what came by w_0; x was seen by all of w
                  }},
                 {w, [=](Tensor dY) -> Tensor {
                    return dY[0] * slice(X, 0, 0, K);  // yours: this is what came from y_0; w was used in all places
                  }}});
}

}  // namespace exercise
