#pragma once
#include "tensor/real.h"

namespace bobbin::cuda {

/// A convolution makes the columns of so many images at once as fit into this many bytes, of one at least. Fewer are
/// too little work for all of the GPU. On an H100, whose L2 cache has 50 MB, a training step of ResNet-18
/// took 19.6, 15.7, 14.5, 13.8 and 13.2 ms with 8, 16, 24, 40 and 64 MiB, and in bfloat16 11.2, 8.4, 7.5, 7.6 and 7.4;
/// more were not tried. Tests, whose images are small, take less.
inline Index bytes_of_columns = Index{64} << 20;

}  // namespace bobbin::cuda
