#pragma once

/// Marks a function that the kernels of a GPU call, too. nvcc compiles only what is marked for the GPU; to every other
/// compiler it is nothing.
#ifdef __CUDACC__
#define BOBBIN_HD __host__ __device__
#else
#define BOBBIN_HD
#endif
