// The programs on a terminal: its width, which may change, and what is no terminal.
#include <doctest/doctest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "tests/apps/program.h"
#include "tests/data/files.h"

using namespace bobbin::test;

namespace {

winsize of_width(int columns) { return {24, static_cast<unsigned short>(columns), 0, 0}; }

// What a command prints on a terminal of so many columns. `look` sees all that has come so far, and may change the
// terminal.
std::string on_terminal(int columns, const std::string& command,
                        const std::function<void(int, const std::string&)>& look = {}) {
  int terminal = -1;
  const winsize size = of_width(columns);
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  REQUIRE(child >= 0);
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  std::string output;
  char buffer[4096];
  for (ssize_t n; (n = read(terminal, buffer, sizeof buffer)) > 0;) {
    output.append(buffer, static_cast<std::size_t>(n));
    if (look) look(terminal, output);
  }
  close(terminal);
  int status = -1;
  waitpid(child, &status, 0);
  INFO(output);
  CHECK(status == 0);
  return output;
}

// The progress lines: what follows "\r\033[K", up to the next.
std::vector<std::string> progress_lines(const std::string& output) {
  const std::string anew = "\r\033[K";
  std::vector<std::string> lines;
  for (std::size_t at = output.find(anew); at != std::string::npos;) {
    at += anew.size();
    const std::size_t next = output.find(anew, at);
    const std::string line = output.substr(at, std::min(next, output.find("\r\n", at)) - at);
    if (line.starts_with("epoch ") && line[6] != ' ') lines.push_back(line);
    at = next;
  }
  return lines;
}

std::size_t longest(const std::string& text) {
  std::istringstream in(text);
  std::size_t most = 0;
  for (std::string line; std::getline(in, line);) most = std::max(most, line.size() - line.ends_with('\r'));
  return most;
}

// Some seconds of training.
struct Place {
  TempFolder folder;
  Place() { write_small_cifar10(folder / "data"); }
  std::string train(const std::string& name) const {
    return program("train") + " --model mlp --img-size 32 --num-hiddens 512 -b 1 --threads 1 --lr 0.001 --data-dir " +
           (folder / "data").string() + " --output-dir " + (folder / name).string();
  }
};

}  // namespace

TEST_CASE("terminal: --help of every program is as wide as the terminal, and whole in a pipe") {
  for (const char* name : {"train", "classify", "evaluate", "attention", "plot", "bench"}) {
    CAPTURE(name);
    const std::string help = program(name) + " --help";
    for (const int columns : {80, 45, 120}) {
      CAPTURE(columns);
      const std::string shown = on_terminal(columns, "unset COLUMNS; " + help);
      CHECK(longest(shown) <= static_cast<std::size_t>(columns));
      CHECK(contains(shown, "--help"));
      CHECK(shown.find('\033') == std::string::npos);
    }
    CHECK(longest(on_terminal(100, "COLUMNS=70 " + help)) <= 70);
    CHECK(longest(run("COLUMNS=70 " + help).output) <= 70);
    // In a pipe a flag is a line, or two: for grep.
    CHECK(contains(run("unset COLUMNS; " + help).output, "\nUsage: "));
  }
  CHECK(contains(run("unset COLUMNS; " + program("train") + " --help").output,
                 "folder of Fashion-MNIST, MNIST, KMNIST or CIFAR-10, or with one folder of images per class, also"));
}

TEST_CASE("terminal: the progress line is never wider than the terminal, also when that changes") {
  const Place place;
  const std::string steps = " --epochs 100000 --max-steps 1000";
  bool narrowed = false;
  const std::string output = on_terminal(120, "export TERM=xterm; unset COLUMNS; " + place.train("run") + steps,
                                         [&](int terminal, const std::string& so_far) {
                                           if (narrowed || progress_lines(so_far).size() < 5) return;
                                           const winsize narrow = of_width(50);
                                           narrowed = ioctl(terminal, TIOCSWINSZ, &narrow) == 0;
                                         });
  INFO(output);
  const std::vector<std::string> lines = progress_lines(output);
  REQUIRE(lines.size() > 8);
  CHECK(lines[1].size() < 120);
  for (const char* part : {"loss ", "acc ", " gone, ", " left", " images/s"}) CHECK(contains(lines[1], part));
  const auto narrow = std::find_if(lines.begin(), lines.end(), [](auto& line) { return line.size() < 50; });
  CHECK(lines.end() - narrow >= 3);
  for (auto line = narrow; line != lines.end(); ++line) CHECK_MESSAGE(line->size() < 50, *line);
  CHECK(output.find("\033[3") == std::string::npos);  // no colours
}

TEST_CASE("terminal: where a line cannot be written anew, none is") {
  const Place place;
  const std::string flags = " --epochs 1";
  const auto has_controls = [](const std::string& text) {
    return text.find('\033') != std::string::npos || text.find("\r\r") != std::string::npos ||
           contains(text, "\repoch");
  };
  CHECK(!has_controls(on_terminal(80, "TERM=dumb " + place.train("dumb") + flags)));
  const std::string in_pipe = run(place.train("pipe") + flags).output;
  CHECK(in_pipe.find_first_of("\r\033") == std::string::npos);
  CHECK(has_controls(on_terminal(80, "TERM=xterm " + place.train("xterm") + flags)));
}
