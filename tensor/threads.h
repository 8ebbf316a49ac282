#pragma once
#include <string>

namespace bobbin {

/// On how many threads loops and products run: at first as many as there are cores, or as
/// OMP_NUM_THREADS says.
int threads();
/// Throws Error unless 1 <= count <= 1024.
void set_threads(int count);

/// What computes, for the first lines of a program: "OpenBLAS 0.3.21 (OpenMP), core type SkylakeX". With
/// another build than the OpenMP one, which has threads of its own that fight with ours, it says so.
std::string describe_blas();

}  // namespace bobbin
