#pragma once
#include "tensor/kernels.h"

/// Matrix products on which OpenBLAS is not at its best: those whose right factor is small, as a narrow layer's weights
/// and the keys and values of a head are.
namespace bobbin::cpu::small {

/// Whether this way is the faster one for a product as a whole; its parts are then multiplied so, too.
bool suits(const Product& p, const Matrix& a);

/// A single product, on this thread. Arguments as those of gemm().
void multiply(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c);

}  // namespace bobbin::cpu::small
