// The completion of command lines in bash.
#include "tests/apps/program.h"

using namespace bobbin::test;

namespace {

// What bash offers after these words, of which the last is begun.
std::string offers(const std::string& words) {
  return run("bash -c 'source apps/completion.bash; COMP_WORDS=(" + words +
             "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _bobbin; echo \"${COMPREPLY[@]}\"'")
      .output;
}

}  // namespace

TEST_CASE("completion: flags by their beginning, the words that they take, and files") {
  if (run("command -v bash").status != 0) return (void)std::puts("skipped a test case: no bash");
  const std::string train = binary("train");
  CHECK(offers(train + " --prec") == "--precision\n");
  CHECK(offers(train + " --data") == "--data-dir --data\n");
  CHECK(offers(train + " --model le") == "lenet\n");
  CHECK(offers(train + " --epochs 3 --preset d2l") == "d2l d2l-jax\n");
  CHECK(offers(train + " --skip-bad --lr-") == "\n");
  CHECK(offers(train + " --resume ru") == "\n");  // a file's name, with which bash goes on by itself
  CHECK(offers(binary("plot") + " --h") == "--help --html\n");
  CHECK(offers("no-such-program --h") == "\n");
  // --precision=bf is three words for bash.
  CHECK(offers(train + " --precision = bf") == "bfloat16\n");
  CHECK(offers(train + " --epochs 3 --precision =") == "float32 tf32 bfloat16\n");
  CHECK(offers(train + " --resume = ru") == "\n");
}

TEST_CASE("completion: of a program in the home folder, which is called ~") {
  if (run("command -v bash").status != 0) return (void)std::puts("skipped a test case: no bash");
  const TempFolder home;
  run("ln -s \"$PWD/" + binary("train") + "\" '" + home.path().string() + "/train'");
  CHECK(run("bash -c 'HOME=" + home.path().string() + R"(; source apps/completion.bash
              COMP_WORDS=("~/train" --prec); COMP_CWORD=1; _bobbin; echo "${COMPREPLY[@]}"')")
            .output == "--precision\n");
}
