#pragma once
#include <exception>
#include <functional>

namespace bobbin {

/// A program's main(), whose errors end it with one sentence:
///
///     int main(int, char** argv) {
///       return run_main(argv, [] { ... });
///     }
///
/// Before `body` come wait_briefly() and set_threads(default_threads()), after it check_printed(); each line printed is
/// there at once, also in a file. Returns 0, or exit_code() of what was thrown.
int run_main(char** argv, const std::function<void()>& body);

/// Prints "PROGRAM: " and the error that ended it on stderr, ends other ranks if there are any, and returns the exit
/// code: 2 without the GPU for which the library is built, otherwise 1.
int exit_code(const char* program, const std::exception& error);

/// For the end of a program whose result is its output: throws Error unless all of it was written, as it is not where
/// stdout is a file on a full disk.
void check_printed();

}  // namespace bobbin
