#pragma once
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/helpers.h"

/// Running the programs as people do.
namespace bobbin::test {

struct Result {
  int status;
  std::string output;  // stdout and stderr
};

inline Result run(const std::string& command) {
  Result result{-1, ""};
  FILE* pipe = popen(("exec 2>&1; " + command).c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) result.output.append(buffer, n);
  const int status = pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

inline std::string binary(const std::string& name) {
  const char* build = std::getenv("BOBBIN_BUILD");
  return std::string(build ? build : "build") + "/" + name;
}
/// How a test calls a program: so that it ends. (Without --foreground a signal would reach it twice.)
inline std::string program(const std::string& name) { return "timeout --foreground 60 " + binary(name); }

/// Whether `name flags` ends with this status and one line on the terminal, that begins with the name and has this
/// part.
inline void check_refuses(const std::string& name, const std::string& flags, int status, const std::string& part) {
  const Result r = run(program(name) + " " + flags);
  INFO(flags, ": ", r.output);
  CHECK(r.status == status);
  CHECK(contains(r.output, part));
  CHECK(r.output.starts_with(name + ": "));
  CHECK(std::count(r.output.begin(), r.output.end(), '\n') == 1);
}

}  // namespace bobbin::test
