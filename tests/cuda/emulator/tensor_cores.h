#pragma once
#include <cstdint>

/// The instructions of tensor cores, as all 32 lanes of a warp execute them together: each brings its registers, waits
/// for the others, and computes its own four numbers of C + A·B. tensor/cuda/mma.h says who holds which.
namespace emulator {

/// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32. Products are exact, and are added up in double, in the order of
/// k, from C on; the sum is rounded once. (A GPU's order, and how often it cuts digits off, NVIDIA does not tell.)
void multiply_add_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], const char* site);

/// mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32. Dies of operands that were not rounded to TF32: a GPU would cut
/// them off, and lose a digit without a word.
void multiply_add_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], const char* site);

/// cvt.rna.tf32.f32: the last 13 bits become 0, and halves are rounded away from zero.
std::uint32_t to_tf32(float x);

}  // namespace emulator
