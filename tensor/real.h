#pragma once
#include <cstdint>

namespace bobbin {

/// The one scalar type of the library. Programs use float; the tests also build everything with
/// -DBOBBIN_REAL=double, so that gradients can be checked to 1e-6 and not to 1e-2.
#ifndef BOBBIN_REAL
#define BOBBIN_REAL float
#endif
using real = BOBBIN_REAL;

/// Sizes, indices and strides, in elements.
using Index = std::int64_t;

}  // namespace bobbin
