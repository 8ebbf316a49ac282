#pragma once
#include <string>

/// Kernels as nvcc translates them. If CUDA_EMULATOR_PTX names PTX files, separated by colons, then all kernels are
/// executed from there, instruction by instruction, and not as the compiler of the program made them: so the code that
/// nvcc really made has run, with its way of doing exp() and 64-bit division.
///
/// PTX is the portable assembly of NVIDIA's GPUs. A thread has as many registers as it likes:
///
///     ld.global.f32   %f1, [%rd4+8];          // %f1 = the float at the address in %rd4, plus 8
///     setp.gt.f32     %p1, %f1, 0f00000000;   // %p1 = %f1 > 0; floats are written as their bits
///     @%p1 bra        $L__BB0_2;              // if %p1, go on at the label
///     mul.rn.f32      %f2, %f1, 0f40000000;   // rounded to the nearest
///
/// What is here: arithmetic of whole numbers, float and double in all roundings, memory, branches, calls, barriers,
/// shuffles and votes, tensor cores; ptx_instructions.cpp is the list. What approximates on a GPU (ex2, rcp, ...) is
/// done by libm. Anything else (half, atomics, ...) dies by name, and only where it is executed.
namespace emulator::ptx {

/// The entry of this kernel, by its mangled name. Null if there is none; but if CUDA_EMULATOR_PTX is set it dies, lest
/// tests pass with what was not tested.
const void* find(const void* kernel);

/// Executes the entry as the CUDA thread that runs now. `arguments` are pointers to the kernel's arguments.
void run(const void* entry, void** arguments);

/// Reads PTX; `source` is for messages. Names that are known already are replaced.
void load(const std::string& text, const std::string& source);

/// The entry of this name, or null.
const void* find(const std::string& name);

}  // namespace emulator::ptx
