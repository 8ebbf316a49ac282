#pragma once
#include <string>

#include "ptx_program.h"

namespace emulator::ptx {

/// b8, b16, ... are taken as u8, u16, ...
enum class Type : std::uint8_t { none, u8, u16, u32, u64, s8, s16, s32, s64, f32, f64, bf16, bf16x2, tf32, pred };

/// Of the state spaces of memory, those that are not just addresses of the host.
enum class Space { any, shared, parameter };

/// "cvt.rzi.ftz.s32.f32", taken apart.
struct Mnemonic {
  std::string name;  ///< without what stands in the other fields, and without what we need not know: "mul.wide", "cvt"
  Type type = Type::none;    ///< the last
  Type result = Type::none;  ///< the one before, if there are two
  Space space = Space::any;
  bool rounds = false;  ///< otherwise than to the nearest
  Instruction modifiers;
};

Mnemonic take_apart(const std::string& text);

/// How an instruction is executed, and how many operands it has. No action: it is not known.
struct Choice {
  Action action = nullptr;
  std::size_t operands = 0;
};
Choice choose(const Mnemonic& mnemonic);

/// Dies, with the text.
void not_supported(const Instruction& i, Frame& f);

std::size_t size_of(Type type);

}  // namespace emulator::ptx
