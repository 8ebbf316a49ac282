#pragma once
#include <cstdint>

#include "tensor/cuda/launch.h"

/// Tensor cores: a warp multiplies two small matrices whose elements lie spread over the registers of its 32 lanes.
/// Lane 4·g + t (g of 0 ... 7, t of 0 ... 3) holds, of
///
///     C (16 x 8), float:     c[0], c[1] = C[g][2t], C[g][2t + 1];  c[2], c[3] = the same of row g + 8
///
///     in bfloat16, two to a word, the first in the lower half:
///     A (16 x 16), by rows:  a[0] = A[g][2t], A[g][2t + 1];  a[1] = row g + 8;  a[2], a[3] = the same of column + 8
///     B (16 x 8):            b[0] = B[2t][g], B[2t + 1][g];  b[1] = B[2t + 8][g], B[2t + 9][g]
///
///     in TF32, a number to a word, as to_tf32() rounds it:
///     A (16 x 8):            a[0] = A[g][t];  a[1] = A[g + 8][t];  a[2] = A[g][t + 4];  a[3] = A[g + 8][t + 4]
///     B (8 x 8):             b[0] = B[t][g];  b[1] = B[t + 4][g]
///
/// So what one product leaves in C is, rounded, two to a word, what the next takes as A: two C side by side are an A of
/// bfloat16. PTX ISA, "Matrix multiply-accumulate operation using mma instruction". sm_80 or later.
///
/// Where the kernels run on a processor, in the tests, these two instructions are the emulator's.
#ifndef MMA
#define MMA(type, instruction, c, a, b)                                                       \
  asm volatile(instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                               \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#define TO_TF32(y, x) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x))
#endif

namespace bobbin::cuda {

/// C += A·B, of bfloat16; the products and their sum in float. All 32 lanes must come to it together.
inline __device__ void multiply_add_bfloat16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  MMA(bf16, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", c, a, b);
}

/// C += A·B, of TF32; the products and their sum in float. All 32 lanes must come to it together.
inline __device__ void multiply_add_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  MMA(tf32, "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", c, a, b);
}

/// x rounded to TF32, ten bits behind the point, halves away from zero: a float whose last 13 bits are 0.
inline __device__ std::uint32_t to_tf32(float x) {
  std::uint32_t y;
  TO_TF32(y, x);
  return y;
}

/// A word of two numbers rounded to bfloat16, the first in the lower half.
inline __device__ std::uint32_t to_bfloat16s(float first, float second) {
#ifdef __CUDA_ARCH__
  std::uint32_t y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(second), "f"(first));
  return y;
#else
  return to_bfloat16(first).bits | std::uint32_t{to_bfloat16(second).bits} << 16;
#endif
}

}  // namespace bobbin::cuda
