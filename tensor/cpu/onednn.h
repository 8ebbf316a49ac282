#pragma once
#include <string>

#include "tensor/kernels.h"

/// oneDNN, which multiplies matrices of bfloat16. It is optional: without it tensor/cpu/without_onednn.cpp takes the
/// place of tensor/cpu/onednn.cpp.
namespace bobbin::cpu::onednn {

/// Whether it is there, and the processor has instructions for bfloat16; without these it would be slower than
/// OpenBLAS.
bool multiplies();
/// Its version and the instructions that it uses: "oneDNN 2.6.3 (AMX)"; what is lacking where it does not multiply.
std::string describe();
/// The product, or all of a batch, on the calling thread, for which omp_get_max_threads() has to be 1. False, and
/// nothing is computed, if oneDNN cannot: memory is lacking, or it has no kernel for these matrices.
bool multiply(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c);
bool multiply(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const RoundedResultMatrix& c);

/// A convolution of rounded images and kernels, and its gradients, on all threads; see kernels.h. False if oneDNN
/// cannot: then it is to be computed in another way.
bool conv2d(const bfloat16* x, const bfloat16* W, const real* bias, real* y, const Conv2dSizes& s);
bool conv2d_backward_x(const bfloat16* W, const bfloat16* dY, real* dX, const Conv2dSizes& s);
bool conv2d_backward_w(const bfloat16* x, const bfloat16* dY, real* dW, const Conv2dSizes& s);

}  // namespace bobbin::cpu::onednn
