#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "tensor/real.h"

/// Where numbers lie and what computes with them: all that the library asks of a processor or a GPU but mathematics,
/// which is in tensor/kernels.h.
namespace bobbin {

/// The format to which a product rounds its operands, each number to the nearest. Sums, results and everything else are
/// `real`.
enum class Precision {
  float32,  ///< none: as they are
  tf32,     ///< 10 bits of mantissa, which NVIDIA's GPUs multiply several times faster; attention stays in float32
  bfloat16  ///< 7 bits of mantissa, which GPUs and newer processors multiply several times faster; see Operand
};

/// A scope in which all products, on whichever thread, are computed in one precision; the one before holds again
/// when it ends. Without any it is float32. What was recorded in bfloat16 has the products of its backward pass in
/// bfloat16, too, wherever backward() is called.
///
///     const ProductsIn precision(Precision::bfloat16);
class ProductsIn {
 public:
  /// Throws Error if the hardware does not have it.
  explicit ProductsIn(Precision precision);
  ~ProductsIn() { current_ = outer_; }
  ProductsIn(const ProductsIn&) = delete;
  ProductsIn& operator=(const ProductsIn&) = delete;

  /// The current one.
  static Precision current() { return current_; }

 private:
  static inline Precision current_ = Precision::float32;
  Precision outer_;
};

/// Numbers that are on their way to the program: they are there when this moment has come.
struct Sent {
  std::shared_ptr<const real> numbers;
  std::shared_ptr<void> moment;
};

namespace cpu {

/// Memory for the numbers of tensors, a multiple of 64 bytes, aligned as much; null if so much cannot be had.
void* allocate(std::size_t bytes);
void release(void* block);
/// The size of the memory in bytes, or how much of it a container or setrlimit() lets this process have.
std::size_t memory_size();
/// A block of n numbers that the program itself can write, on their way into a tensor; and that way. To the
/// processor both are one. A GPU has memory of its own: there the copy is under way when to_device() returns.
std::shared_ptr<real> host_block(Index n);
std::shared_ptr<real> to_device(std::shared_ptr<real> block, Index n);
/// The numbers of a tensor, for the program to read. Waits until they are computed.
void to_host(const real* x, real* host, Index n);
/// The same without waiting.
Sent begin_to_host(const real* x, Index n);
/// Waits until all that was begun is done.
void wait();
/// A moment after all that was begun before and ahead of all that is begun later: to the processor, now; to a GPU, when
/// it gets there, and nobody waits for that.
std::shared_ptr<void> moment();
/// Waits until it has come.
void wait_for(const std::shared_ptr<void>& moment);
/// From one to a later one. Waits until that has come.
double seconds_between(const std::shared_ptr<void>& begin, const std::shared_ptr<void>& end);
/// A description of the hardware and libraries, for the first lines of a program: "OpenBLAS 0.3.21 (OpenMP), core type
/// SkylakeX". With another build than the OpenMP one, which has threads of its own that fight with ours, it says so;
/// and in bfloat16 by what such products are computed.
std::string describe();
/// Whether products can be computed in this precision. In bfloat16 they always can; they are faster than in float32
/// where describe() names oneDNN, or a GPU.
bool has(Precision precision);

}  // namespace cpu

/// The same for an NVIDIA GPU: see tensor/cuda/kernels.h.
namespace cuda {

/// What the function of this name in namespace cpu does.
decltype(cpu::allocate) allocate;
decltype(cpu::release) release;
decltype(cpu::memory_size) memory_size;
decltype(cpu::host_block) host_block;
decltype(cpu::to_device) to_device;
decltype(cpu::to_host) to_host;
decltype(cpu::begin_to_host) begin_to_host;
decltype(cpu::wait) wait;
decltype(cpu::moment) moment;
decltype(cpu::wait_for) wait_for;
decltype(cpu::seconds_between) seconds_between;
decltype(cpu::describe) describe;
decltype(cpu::has) has;

}  // namespace cuda
}  // namespace bobbin
