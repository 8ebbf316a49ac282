#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

/// PTX as it is executed: ptx_parser.cpp makes this of the text, ptx.cpp runs it.
///
/// Everything that an instruction can name is a register, 64 bits wide, found by a number: what PTX calls registers,
/// but constants, %tid.x, and the addresses of parameters and arrays as well. So an instruction need not ask what its
/// operands are, and there is one kind of address: a pointer of the host. Only shared memory has 32-bit addresses, too,
/// as nvcc insists on them: see Frame::shared.
namespace emulator::ptx {

using Register = std::uint16_t;

struct Instruction;
struct Frame;
using Action = void (*)(const Instruction&, Frame&);

/// nearest, toward zero, down, up; and these four for results that are whole: "rni".
enum class Rounding : std::uint8_t { nearest, zero, down, up, whole_nearest, whole_zero, whole_down, whole_up };
/// With what a comparison is combined: "setp.lt.and".
enum class Combine : std::uint8_t { none, with_and, with_or, with_xor };

struct Instruction {
  Action action = nullptr;
  /// It is executed if this register is `wanted`: "@%p1", "@!%p1"; a constant for most.
  Register guard = 0;
  bool wanted = true;
  std::uint8_t vector = 1;  ///< how many numbers: "v4"
  Rounding rounding = Rounding::nearest;
  Combine combine = Combine::none;
  bool flush = false;     ///< "ftz": denormals, given or found, are 0
  bool saturate = false;  ///< "sat"
  /// In the order of the text. Vectors count as their elements. setp and shfl have two results: p|q.
  Register operand[14] = {};
  /// What is added to an address; where a branch goes; which call.
  std::int64_t number = 0;
  const char* text = "";  ///< for messages, and as the site of barriers: each has another
};

/// What a register holds before the first instruction.
struct Preset {
  enum Kind { constant, local_address, parameter_address, special } kind;
  Register to;
  std::int64_t value;  ///< the constant; the offset in local memory; the number of the parameter; a Special
};

enum Special {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  lanemask_eq,
  lanemask_lt,
  lanemask_le,
  lanemask_gt,
  lanemask_ge,
};

/// An array, or one number, outside of functions or __shared__.
struct Variable {
  bool shared = false;
  std::size_t bytes = 0, alignment = 1;
  std::vector<std::uint64_t> memory;  ///< if not shared
};

struct Function;

struct Call {
  std::string name;
  const Function* callee = nullptr;  ///< null: unknown
  std::vector<Register> addresses;   ///< of the results, then of the parameters
};

/// A kernel, or a __device__ function that was not inlined.
struct Function {
  std::string name;
  bool entry = false;
  std::vector<Instruction> code;
  std::vector<Preset> once, at_start;  ///< set in a new frame; set for each thread
  std::size_t registers = 0, local_bytes = 0, parameters = 0;
  std::vector<const Variable*> shared;
  std::vector<Call> calls;
  std::vector<std::vector<int>> jump_tables;
  std::deque<std::string> texts;  ///< of the instructions
  /// Registers and local memory that no thread uses now.
  mutable std::vector<std::unique_ptr<std::uint64_t[]>> idle;
};

/// A function in execution.
struct Frame {
  std::uint64_t* registers;
  const Function* function;
  const Instruction* next;
  /// Where this block has the arrays kernel->shared. Address (k+1) · 2^20 + i of shared memory is byte i of array k.
  const Function* kernel;
  std::byte* const* shared;
  bool carry = false;   ///< of add.cc and its like
  bool exited = false;  ///< the thread is to end, not just the function
};
constexpr int shared_address_bits = 20;

/// Calls frame.function->calls[call.number].
void call(const Instruction& call, Frame& frame);

}  // namespace emulator::ptx
