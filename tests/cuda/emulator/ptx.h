#pragma once

/// Kernels as nvcc translates them. If CUDA_EMULATOR_PTX names PTX files, separated by colons, then a kernel that one
/// of them has is executed from there, instruction by instruction, and not as the compiler of the program made it.
namespace emulator::ptx {

/// The entry of this kernel, found by its mangled name; null if no file has it.
const void* find(const void* kernel);

/// Executes the entry as the CUDA thread that runs now. `arguments` are pointers to the kernel's arguments.
void run(const void* entry, void** arguments);

}  // namespace emulator::ptx
