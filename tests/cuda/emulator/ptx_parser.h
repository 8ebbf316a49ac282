#pragma once
#include <deque>
#include <map>
#include <string>

#include "ptx_program.h"

namespace emulator::ptx {

/// What was read so far. Deques, since functions know the addresses of variables and of one another.
struct Program {
  std::deque<Function> functions;
  std::deque<Variable> variables;
  std::map<std::string, const Function*> by_name;
};

/// Adds what a PTX file defines. An instruction that is not known is no error as long as it is not executed.
void parse(const std::string& text, const std::string& source, Program& program);

}  // namespace emulator::ptx
