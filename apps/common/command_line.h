#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tensor/check.h"
#include "tensor/real.h"
#include "tensor/size2.h"

/// What the command lines of all programs share.
namespace bobbin::command_line {

// How many letters must be changed, added or left out to make b of a (Levenshtein's distance).
inline std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = std::exchange(row[j], std::min({changed, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

// The flag of the program nearest to an unknown one; none if all are far.
inline std::string nearest_flag(const CLI::App& app, const std::string& unknown) {
  std::string nearest;
  std::size_t nearest_distance = 4;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) {
      const std::string flag = std::string("--").append(name);
      if (const std::size_t d = distance(flag, unknown.substr(0, unknown.find('='))); d < nearest_distance) {
        nearest = flag;
        nearest_distance = d;
      }
    }
  return nearest;
}

// Accepts the numbers from low to high, and so no NaN.
inline CLI::Validator within(double low, double high) {
  return CLI::Validator(
      [=](const std::string& text) -> std::string {
        double number = 0;
        if (CLI::detail::lexical_cast(text, number) && number >= low && number <= high) return "";
        char message[128];
        std::snprintf(message, sizeof message, "must be %.12g to %.12g, got %.40s", low, high, text.c_str());
        return message;
      },
      "");
}

// Accepts the names of files that end in one of these.
inline CLI::Validator ends_in(const std::vector<std::string>& endings) {
  return CLI::Validator(
      [=](const std::string& file) -> std::string {
        for (const std::string& ending : endings)
          if (file.size() > ending.size() && file.ends_with(ending)) return "";
        return "must end in " + CLI::detail::join(endings, " or ") + ", got " + file;
      },
      "");
}

// A size that is given as one number, or as height and width.
inline CLI::Option* add_size(CLI::App& app, const std::string& flag, Size2& size, const std::string& help) {
  return app
      .add_option_function<std::vector<Index>>(
          flag, [&size](const std::vector<Index>& n) { size = n.size() == 1 ? Size2(n[0]) : Size2(n[0], n[1]); }, help)
      ->expected(1, 2)
      ->check(within(1, 4096))
      ->default_str(size.height == size.width ? std::to_string(size.height)
                                              : std::to_string(size.height) + " " + std::to_string(size.width))
      ->run_callback_for_default(false);
}

// One number, or one for each of three channels; at first perhaps none.
inline CLI::Option* add_numbers(CLI::App& app, const std::string& flag, std::vector<real>& numbers,
                                const std::string& help) {
  return app.add_option(flag, numbers, help)->expected(1, 3)->default_str(CLI::detail::join(numbers, " "));
}

// Runs parse(); ends the program after --help, and with exit code 2 and one sentence after a mistake.
template <class Parse>
void parse_or_exit(const CLI::App& app, const Parse& parse) {
  try {
    parse();
  } catch (const CLI::CallForHelp& help) {
    std::exit(app.exit(help));
  } catch (const CLI::ParseError& error) {
    std::string text = error.what();
    if (const auto unknown = app.remaining(); !unknown.empty() && !app.get_allow_extras()) {
      text = "unknown flag " + unknown[0];
      if (const std::string flag = nearest_flag(app, unknown[0]); !flag.empty()) text += ", did you mean " + flag + "?";
    }
    std::fprintf(stderr, "%s: %s (--help lists the flags)\n", app.get_name().c_str(), text.c_str());
    std::exit(2);
  }
}

// Says what ended the program, and with which code it ends: 2 without the GPU for which it is built, otherwise 1.
inline int exit_code(const char* program, const std::exception& error) {
  std::fprintf(stderr, "%s: %s\n", program, error.what());
  return dynamic_cast<const NoDevice*>(&error) ? 2 : 1;
}

// For the end of a program whose answer is what it prints: throws Error unless all of it went out, as it does not where
// stdout is a file on a full disk.
inline void check_printed() {
  errno = 0;
  const bool whole = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  check(whole, "stdout", "not all that there is to say could be written: ",
        errno != 0 ? std::strerror(errno) : "it broke off before the end");
}

}  // namespace bobbin::command_line
