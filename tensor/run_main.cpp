#include "tensor/run_main.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <new>
#include <string>
#include <string_view>

#include "tensor/check.h"
#include "tensor/comm.h"
#include "tensor/threads.h"

namespace bobbin {

int run_main(char** argv, const std::function<void()>& body) {
  const std::string_view path = argv[0] ? argv[0] : "";
  const std::string program(path.substr(path.rfind('/') + 1));
  try {
    wait_briefly(argv);
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // in a pipe, too, each line is there when it is printed
    set_threads(default_threads());
    body();
    check_printed();
    return 0;
  } catch (const std::exception& error) {
    return exit_code(program.c_str(), error);
  }
}

int exit_code(const char* program, const std::exception& error) {
  const bool no_memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  const int code = dynamic_cast<const NoDevice*>(&error) ? 2 : 1;
  comm::fail_all(std::string(program) + ": " + (no_memory ? "out of memory" : error.what()), code);
  return code;
}

void check_printed() {
  errno = 0;
  const bool whole = std::cout.flush().good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  check(whole, "stdout", "not all that there is to say could be written: ",
        errno != 0 ? std::strerror(errno) : "it broke off before the end");
}

}  // namespace bobbin
