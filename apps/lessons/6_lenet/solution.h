#pragma once
#include <bobbin.h>

namespace solution {
using namespace bobbin;

/// x_(i+k) went into y_i by w_k, so dx gets w_k dY moved by k, for each k; and w_k went into every y_i by x_(i+k), so
/// dw_k is the sum of all dY_i x_(i+k).
inline Var convolve(const Var& x, const Var& w) {
  const Tensor X = x.value(), W = w.value();
  const Index K = W.size(), places = X.size() - K + 1;
  Tensor Y = Tensor::zeros({places});
  for (Index k = 0; k < K; ++k) Y = Y + W[k] * slice(X, 0, k, k + places);
  return record("convolve", Y,
                {{x,
                  [=](Tensor dY) {
                    Tensor dX = Tensor::zeros(X.shape());
                    for (Index k = 0; k < K; ++k) dX = dX + pad(W[k] * dY, 0, k, K - 1 - k);
                    return dX;
                  }},
                 {w, [=](Tensor dY) {
                    std::vector<Tensor> dW;
                    for (Index k = 0; k < K; ++k) dW.push_back(sum(dY * slice(X, 0, k, k + places)));
                    return stack(dW);
                  }}});
}

}  // namespace solution
