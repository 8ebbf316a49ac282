// The lessons: their programs say what their pages promise, and their checks tell right from wrong.
#include <filesystem>

#include "tests/apps/program.h"

using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

std::string lesson(const std::string& name) {
  return "timeout 300 '" + fs::absolute(binary("lessons/" + name)).string() + "'";
}

// The number at the beginning of the line that has these words.
double number_before(const std::string& words, const std::string& output) {
  const std::size_t at = output.find(words);
  REQUIRE(at != std::string::npos);
  return std::stod(output.substr(output.rfind('\n', at) + 1));
}

}  // namespace

TEST_CASE("lessons: each program says what its page promises") {
  const TempFolder folder;
  const auto output_of = [&](const std::string& name) {
    const Result r = run("cd '" + folder.path().string() + "' && " + lesson(name + "/lesson"));
    CHECK(r.status == 0);
    return r.output;
  };
  const std::string number = output_of("1_number"), tape = output_of("2_tape"),
                    differences = output_of("3_differences"), line = output_of("4_line");
  INFO(number, tape, differences, line);
  CHECK(contains(number, "at x = 2: y = 10 and dy/dx = 7;"));
  CHECK(contains(number, "step 20: x = -1.500, y = -2.2500"));
  CHECK(contains(tape, "a has 4 = b + 1, the sum of what arrived; b has 2 = a"));
  CHECK(content(folder / "tape.dot").starts_with("digraph"));
  CHECK(contains(differences, "\n1e-05  "));
  CHECK(contains(differences, "gradcheck] wrong_tanh"));
  CHECK(contains(content(folder / "differences.svg"), "data-say='h = 1.0e-03: the error is "));
  CHECK(contains(line, "step 50: loss 0.0"));
  const std::string spirals = output_of("5_spirals"), attention = output_of("7_attention"), own = output_of("9_own");
  INFO(spirals, attention, own);
  CHECK(number_before(" of the points", spirals) > 0.97);
  CHECK(content(folder / "spirals.png").starts_with("\x89PNG"));
  const std::string learned = attention.substr(attention.find("step 600"));
  CHECK(contains(attention.substr(0, attention.find("step 300")), "is wrong"));
  CHECK(!contains(learned, "is wrong"));
  CHECK(std::count_if(learned.begin(), learned.end(), [](char c) { return c == '%' || c == '@'; }) == 6);
  CHECK(contains(own, "middle.linear.weight\n"));
  CHECK(contains(own, "step 60: loss 0.000"));
  CHECK(contains(own, "\n   @ @ @ @   @  @ @  @         @  \n"));
}

TEST_CASE("lessons: where Fashion-MNIST is not found, the pictures are bars") {
  const TempFolder folder;
  for (const std::string name : {"6_lenet", "8_vit"}) {
    const Result r = run("cd '" + folder.path().string() + "' && " + lesson(name + "/lesson") + " .");
    INFO(r.output);
    CHECK(r.status == 0);
    CHECK(contains(r.output, "so it draws "));
    const std::string last = "accuracy ";
    CHECK(std::stod(r.output.substr(r.output.rfind(last) + last.size())) > 0.95);
  }
  CHECK(content(folder / "lenet.png").starts_with("\x89PNG"));
}

TEST_CASE("lessons: a check says what is wrong with the exercise, and accepts the solution") {
  const std::pair<const char*, const char*> all[] = {
      {"1_number", "at x = 2 the VJP gives 0 for dY = 2, and finite differences 24"},
      {"2_tape", "product: the gradient of input 0 is wrong"},
      {"3_differences", "add_bias: the gradient of input 1 is wrong"},
      {"4_line", "mean_squared_error: the gradient of input 0 is wrong"},
      {"5_spirals", "leaky_relu: the gradient of input x is wrong, worst at index (0, "},
      {"6_lenet", "convolve: the gradient of input 0 is wrong"},
      {"7_attention", "softmax: the gradient of input 0 is wrong"},
      {"8_vit", "pixel 2 of patch 0 of image 0 is the one at (row, column) = (0, 2), and the one at (1, 0) is right"},
      {"9_own", "softsign: the gradient of input x is wrong"}};
  for (const auto& [name, says] : all) {
    CAPTURE(name);
    // A reader who has solved it is to keep that.
    if (run("git diff --quiet HEAD -- apps/lessons/" + std::string(name) + "/exercise.h").status != 1) {
      const Result exercise = run(lesson(std::string(name) + "/check"));
      INFO(exercise.output);
      CHECK(exercise.status == 1);
      CHECK(contains(exercise.output, says));
      CHECK(std::count(exercise.output.begin(), exercise.output.end(), '\n') == 1);
    }
    const Result solution = run(lesson(std::string(name) + "/check") + " --solution");
    CHECK(solution.status == 0);
    CHECK(solution.output == "right: value and gradient agree with finite differences\n");
  }
  for (const fs::directory_entry& entry : fs::directory_iterator("apps/lessons")) {
    if (!entry.is_directory()) continue;
    const std::string text = content(entry.path() / "lesson.cpp"), page = content("apps/lessons/README.md");
    CHECK(std::count(text.begin(), text.end(), '\n') < 60);
    CHECK(contains(page, "(" + entry.path().filename().string() + "/README.md)"));
  }
}
