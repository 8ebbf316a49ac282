#pragma once
#include "tensor/device.h"
#include "tensor/kernels.h"
#ifdef BOBBIN_CUDA
#include "tensor/cuda/kernels.h"
#endif

/// The backend of the library: the processor, or with `make CUDA=1` a GPU.
namespace bobbin {
#ifdef BOBBIN_CUDA
namespace backend = cuda;
constexpr bool on_gpu = true;
#else
namespace backend = cpu;
constexpr bool on_gpu = false;
#endif
}  // namespace bobbin
