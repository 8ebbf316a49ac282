#pragma once
#include <cstdint>
#include <string>

#include "tensor/kernels.h"

/// Ladders: the same work by one kernel after another, from the simplest on, each faster by one idea. They are for
/// reading (tensor/cuda/README.md goes through them) and for measuring: build/cuda/ladder does it. The library does not
/// use them.
namespace bobbin::cuda::ladder {

// --- copy.cu --------------------------------------------------------------------------------------------------------
/// y = x, a T for each thread: std::uint8_t, real or float4.
template <class T>
void copy(const T* x, T* y, Index n);
/// y = xᵀ for x (n / 32, 32): neighbouring threads read numbers that lie 32 apart. n is a multiple of 32.
void copy_strided(const real* x, real* y, Index n);
/// Numbers of -1 ... 1 to compute with.
void fill_random(real* x, Index n, Draw draw);

// --- product.cu -----------------------------------------------------------------------------------------------------
struct ProductSizes {
  Index m, k, n;
};
/// C (m, n) = A (m, k)·B (k, n).
void product_naive(const real* A, const real* B, real* C, const ProductSizes& s);
void product_tiled(const real* A, const real* B, real* C, const ProductSizes& s);
/// These only for whole tiles: m and n are multiples of 128, k of 16. Other sizes throw Error.
bool whole_tiles(const ProductSizes& s);
void product_in_registers(const real* A, const real* B, real* C, const ProductSizes& s);
void product_on_tensor_cores(const real* A, const real* B, real* C, const ProductSizes& s);

// --- attention.cu ---------------------------------------------------------------------------------------------------
/// y = softmax(Q·Kᵀ/√d)·V for each image and head, as cuda::attention() computes it, without lengths and dropout. d is
/// 64; another throws Error.
void attention_naive(const real* q, const real* k, const real* v, real* y, const AttentionSizes& s);
void attention_tiled(const real* q, const real* k, const real* v, real* y, const AttentionSizes& s);

// --- climb.cpp ------------------------------------------------------------------------------------------------------
/// A ladder: its table, a line for each rung, and whether all computed what the processor's kernels do.
struct Climbed {
  std::string table;
  bool right;
};
/// Each computes with all rungs that can, compares, and measures: the median of `repetitions`. bytes is a multiple of
/// 256.
Climbed climb_copies(Index bytes, int repetitions);
Climbed climb_product(const ProductSizes& s, int repetitions);
Climbed climb_attention(const AttentionSizes& s, int repetitions);

}  // namespace bobbin::cuda::ladder
