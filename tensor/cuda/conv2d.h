#pragma once
#include "tensor/real.h"

namespace bobbin::cuda {

/// A convolution makes the columns of so many images at once as fit into this many bytes, of one at least. Columns that
/// the L2 (50 MB on an H100) holds beside the images and results never go to the memory of the GPU; fewer are too
/// little work for all of it. Tests, whose images are small, take less.
inline Index bytes_of_columns = Index{16} << 20;

}  // namespace bobbin::cuda
