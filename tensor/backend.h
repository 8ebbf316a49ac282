#pragma once
#include "tensor/kernels.h"
#ifdef BOBBIN_CUDA
#include "tensor/cuda/kernels.h"
#endif

/// Which kernels the library runs on: the processor's, or with `make CUDA=1` those of a GPU.
namespace bobbin {
#ifdef BOBBIN_CUDA
namespace backend = cuda;
#else
namespace backend = cpu;
#endif
}  // namespace bobbin
