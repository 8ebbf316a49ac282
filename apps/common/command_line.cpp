#include "apps/common/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "optim/log/terminal.h"
#include "tensor/check.h"
#include "tensor/comm.h"
#include "tensor/threads.h"

namespace bobbin::command_line {
namespace {

// How many letters must be changed, added or left out to make b of a (Levenshtein's distance).
std::size_t distance(const std::string& a, const std::string& b) {
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
std::string nearest_flag(const CLI::App& app, const std::string& unknown) {
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

// The value that a field has now, as it would be given.
std::string as_words(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::vector<std::string> words;
  for (const auto& one : value) words.push_back(one.dump());
  return CLI::detail::join(words, " ");
}

std::string one_of(const std::vector<std::string>& words) { return "{" + CLI::detail::join(words, ",") + "}"; }

// What --help calls the value of a field.
std::string type_of(const Field& field) {
  if (!field.about().choices.empty()) return one_of(field.about().choices);
  const auto is = [&](auto... types) { return (std::holds_alternative<decltype(types)>(field.place()) || ...); };
  std::string* const text = nullptr;
  float* const single = nullptr;
  double* const twice = nullptr;
  std::vector<real>* const several = nullptr;
  return is(text) ? "TEXT" : is(single, twice, several) ? "FLOAT" : "INT";
}

// Height and width, a number for each of three channels, or for each of the stages of a model.
int most_words(const Field& field) {
  return std::holds_alternative<Size2*>(field.place())                ? 2
         : std::holds_alternative<std::vector<real>*>(field.place())  ? 3
         : std::holds_alternative<std::vector<Index>*>(field.place()) ? 8
                                                                      : 1;
}

}  // namespace

void add_flags(CLI::App& app, const Fields& fields) {
  for (const Field& field : fields) {
    if (field.flag().empty()) continue;
    const About& about = field.about();
    const std::string flag = "--" + field.flag(), names = about.alias ? flag + "," + about.alias : flag;
    if (bool* const* on = std::get_if<bool*>(&field.place())) {
      app.add_flag(names, **on, about.help);
      continue;
    }
    const int most = most_words(field);
    const auto take = [field, flag, most](const std::vector<std::string>& words) {
      if (std::find(words.begin() + 1, words.end(), "") != words.end())  // which stands between two of them
        throw CLI::ValidationError(flag + " is given twice");
      if (static_cast<int>(words.size()) > most)
        throw CLI::ValidationError(flag + " takes at most " + std::to_string(most) + " values, got " +
                                   std::to_string(words.size()));
      try {
        field.parse(words, flag);
      } catch (const Error& error) {
        const std::string text = error.what();
        throw CLI::ValidationError(text.substr(text.find("] ") + 2));
      }
    };
    CLI::Option* option = app.add_option_function<std::vector<std::string>>(names, take, about.help)
                              ->default_str(as_words(field.value()))
                              ->run_callback_for_default(false);
    // Room for as many again, so that a flag that is given twice comes to take().
    option->expected(1, most > 1 ? 2 * most + 1 : 1)->type_name(type_of(field))->inject_separator(most > 1);
  }
}

void add_precision(Fields& fields, Precision& precision) {
  fields(
      "precision", precision,
      {.help = "number format of the operands of matrix products; all else is float32. bfloat16 is several times "
               "faster where the processor or GPU has instructions for it, and has 7 bits of mantissa; tf32, on GPUs "
               "only, has 10",
       .choices = {"float32", "tf32", "bfloat16"}});
}
void add_precision(CLI::App& app, Precision& precision) {
  Fields fields;
  add_precision(fields, precision);
  add_flags(app, fields);
}

CLI::Validator within(double low, double high) {
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

void choose_from(const std::vector<std::string>& words, CLI::Option* option) {
  option->check(CLI::IsMember(words).description(""))->type_name(one_of(words));
}

CLI::Validator ends_in(const std::vector<std::string>& endings) {
  return CLI::Validator(
      [=](const std::string& file) -> std::string {
        for (const std::string& ending : endings)
          if (file.size() > ending.size() && file.ends_with(ending)) return "";
        return "must end in " + CLI::detail::join(endings, " or ") + ", got " + file;
      },
      "");
}

void parse_or_exit(const CLI::App& app, const std::function<void()>& parse) {
  try {
    parse();
  } catch (const CLI::CallForHelp&) {
    const int width = columns(STDOUT_FILENO);
    const auto format = app.get_formatter();
    if (0 < width && width < 60) format->column_width(6);  // what a flag means begins on a line of its own
    std::fputs(wrap(app.help(), width, static_cast<int>(format->get_column_width())).c_str(), stdout);
    check_printed();
    std::exit(0);
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

void use_threads(int count) {
  set_threads(count);
  if (const int at_work = threads_at_work(); at_work < count)
    std::fprintf(stderr,
                 "OpenMP has %d thread%s at work of the %d wanted, so all is slower: its settings in the environment "
                 "(OMP_...) hold it back\n",
                 at_work, at_work == 1 ? "" : "s", count);
}

bool speaks_for_all_ranks() {
  const bool speaks = comm::rank() == 0;
  if (!speaks) check(std::freopen("/dev/null", "w", stdout), "ranks", "cannot open /dev/null");
  return speaks;
}

}  // namespace bobbin::command_line
