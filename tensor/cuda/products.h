#pragma once
#include "tensor/kernels.h"

namespace bobbin::cuda {

/// gemm(), and gemm_rounded(): C = A·B, or where `add` is set C += A·B.
void multiply(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c, bool add = false);
void multiply(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c,
              bool add = false);

}  // namespace bobbin::cuda
