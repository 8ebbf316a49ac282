#pragma once
#include <cstdio>
#include <cstring>
#include <functional>

#include "tensor/run_main.h"

/// What the checks of the exercises share.
namespace bobbin {

/// Runs the check of what the reader wrote or, with the flag --solution, that of the solution. Prints that it is right;
/// an Error ends the program with its sentence.
inline int check_exercise(int argc, char** argv, const std::function<void()>& exercise,
                          const std::function<void()>& solution) {
  return run_main(argv, [&] {
    const bool solved = argc > 1 && std::strcmp(argv[1], "--solution") == 0;
    (solved ? solution : exercise)();
    std::puts("right: value and gradient agree with finite differences");
  });
}

}  // namespace bobbin
