#include "optim/log/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string_view>

namespace bobbin {

bool can_rewrite_line(int fd) {
  const char* term = std::getenv("TERM");
  return isatty(fd) && term && std::string_view(term) != "dumb";
}

int columns(int fd) {
  winsize size{};
  const int own = ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
  const char* said = std::getenv("COLUMNS");
  const int wished = said ? std::max(std::atoi(said), 0) : 0;
  return own > 0 && wished > 0 ? std::min(own, wished) : std::max(own, wished);
}

std::string wrap(const std::string& text, int columns, int indent) {
  if (columns <= 0) return text;
  const auto width = static_cast<std::size_t>(columns);
  const std::string margin(std::min(static_cast<std::size_t>(indent), width / 2), ' ');
  std::istringstream in(text);
  std::string result;
  for (std::string line; std::getline(in, line); result += line + '\n') {
    const bool indented = line.starts_with(' ');
    while (line.size() > width) {
      const std::size_t text_begin = line.find_first_not_of(' '), blank = line.rfind(' ', width);
      const bool at_blank = blank != std::string::npos && blank > text_begin;
      const std::size_t end = at_blank ? blank : width;
      result += line.substr(0, line.find_last_not_of(' ', end - 1) + 1) + '\n';
      const std::size_t next = line.find_first_not_of(' ', end);
      line = next == std::string::npos ? "" : (indented ? margin : "") + line.substr(next);
    }
  }
  return result;
}

}  // namespace bobbin
