// The examples, run as a person does: each learns what it is to show.
#include <algorithm>
#include <map>

#include "tests/apps/program.h"

using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

std::string example(const std::string& name) {
  return "timeout 60 '" + fs::absolute(binary("examples/" + name)).string() + "'";
}

// What an example prints. Where it runs, it may write files.
std::string output_of(const std::string& name) {
  const TempFolder folder;
  const Result r = run("cd '" + folder.path().string() + "' && " + example(name));
  INFO(r.output);
  CHECK(r.status == 0);
  CHECK(fs::is_empty(folder.path()));  // and nothing is left behind
  return r.output;
}

// The number after these words in the last line that has them.
double number_after(const std::string& words, const std::string& output) {
  const std::size_t at = output.rfind(words);
  REQUIRE_MESSAGE(at != std::string::npos, output);
  return std::stod(output.substr(at + words.size()));
}

}  // namespace

TEST_CASE("examples: each shows that it learned") {
  const struct {
    const char *name, *words;
    double low, high;
  } all[] = {{"line", "the line is y = ", 2.9, 3.1},
             {"line", "loss ", 0.005, 0.015},
             {"mlp", "accuracy ", 0.97, 1},
             {"lenet", "accuracy ", 0.94, 1},
             {"layers", "loss ", 0, 0.002},
             {"mixer", "accuracy ", 0.95, 1},
             {"sort", "accuracy ", 0.98, 1},
             {"gpt", "loss ", 0, 0.2},
             {"gan", "distance ", 0, 0.4},
             {"optimizer", "RMSprop with lr 0.02: loss ", 0, 0.05},
             {"dataset", "mae ", 0.07, 0.12},
             {"files", "loss ", 0, 0.2}};
  std::map<std::string, std::string> outputs;
  for (const auto& one : all) {
    if (!outputs.contains(one.name)) outputs[one.name] = output_of(one.name);
    INFO(one.name, ": ", outputs[one.name]);
    const double number = number_after(one.words, outputs[one.name]);
    CHECK(number >= one.low);
    CHECK(number <= one.high);
  }
  CHECK(contains(outputs["gpt"], "Twinkle, twinkle, little star,\nHow I wonder"));
  CHECK(number_after("SGD with lr 0.005: ", outputs["optimizer"]) > 0.5);
  CHECK(contains(outputs["files"], "with the same bits"));
  CHECK(contains(outputs["files"], "the same numbers"));
}

TEST_CASE("examples: eleven files of less than 80 lines, with the line that compiles them, in the table of their README") {
  const std::string readme = content("apps/examples/README.md");
  int files = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator("apps/examples")) {
    if (entry.path().extension() != ".cpp") continue;
    ++files;
    const std::string text = content(entry.path()), name = entry.path().stem().string();
    CAPTURE(name);
    CHECK(std::count(text.begin(), text.end(), '\n') < 80);
    CHECK(contains(text, "c++ -O2 " + name + ".cpp $(pkg-config --cflags --libs bobbin) -o " + name + " && ./" + name));
    CHECK(contains(text, "#include <bobbin.h>"));
    CHECK(contains(text, "run_main(argv"));
    CHECK(contains(readme, "| `" + name + ".cpp` |"));
  }
  CHECK(files == 11);
}

TEST_CASE("examples: an error ends one with a sentence") {
  const TempFolder folder;
  const Result r = run("cd '" + folder.path().string() + "' && " + example("line") + " > /dev/full");
  CHECK(r.status == 1);
  CHECK(r.output.starts_with("line: "));
  CHECK(std::count(r.output.begin(), r.output.end(), '\n') == 1);
}
