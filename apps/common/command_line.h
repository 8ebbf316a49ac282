#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/files/fields.h"
#include "tensor/device.h"
#include "tensor/run_main.h"

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

/// The common part of the programs' command lines. <CLI/CLI.hpp> comes with the sources that use it.
namespace bobbin::command_line {

/// Adds a flag for each field that has one, with its help and range; the default is the value that it has now.
void add_flags(CLI::App& app, const Fields& fields);

/// Adds --precision, in which products are computed, to the fields or the flags of a program.
void add_precision(Fields& fields, Precision& precision);
void add_precision(CLI::App& app, Precision& precision);

/// Accepts the numbers from low to high, and so no NaN.
CLI::Validator within(double low, double high);
/// Lets the option be one of these words, and --help list them.
void choose_from(const std::vector<std::string>& words, CLI::Option* option);
/// Accepts the names of files that end in one of these.
CLI::Validator ends_in(const std::vector<std::string>& endings);

/// Runs parse(); ends the program after --help, and with exit code 2 and one sentence after a mistake.
void parse_or_exit(const CLI::App& app, const std::function<void()>& parse);

/// Whether this is rank 0, or the only process (tensor/comm.h). What others print on stdout is from now on thrown away.
bool speaks_for_all_ranks();

/// set_threads(), and a sentence on stderr where OpenMP has fewer threads at work.
void use_threads(int count);

using bobbin::check_printed;
using bobbin::exit_code;

}  // namespace bobbin::command_line
