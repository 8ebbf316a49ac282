// bench --lockstep: steps of any model, of any size, for a program that measures in turn.
#include <sstream>
#include <vector>

#include "tests/apps/program.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// The seconds that bench answers to these lines.
std::vector<double> answers(const std::string& lines, const std::string& flags) {
  const Result r = run("printf '" + lines + "' | " + program("bench") + " --lockstep -b 2 " + flags);
  INFO(flags, ": ", r.output);
  CHECK(r.status == 0);
  std::istringstream words(r.output);
  std::vector<double> seconds;
  for (double s; words >> s;) seconds.push_back(s);
  CHECK(words.eof());
  return seconds;
}

}  // namespace

TEST_CASE("bench: a line is answered with the seconds of as many steps as it asks for") {
  const std::vector<double> seconds = answers("train\\neval 2\\ntrain 20\\n", "--model mlp");
  REQUIRE(seconds.size() == 3);
  for (const double s : seconds) CHECK(s > 0);
}

TEST_CASE("bench: --sums has lines for sums of each size") {
  const Result r = run(program("bench") + " --sums --threads 1 --rounds 1");
  CHECK(r.status == 0);
  for (const char* line : {"slowest_rank 1 ", "sum_of_1 ", "beside_1 ", "copy_of_1 ", "sum_of_4194304 ",
                           "beside_4194304 ", "copy_of_4194304 "})
    CHECK(contains(r.output, line));
}

TEST_CASE("bench: the model is as large as its flags say") {
  const std::string vit =
      "--img-size 32 --patch-size 16 --num-hiddens 24 --mlp-num-hiddens 40 --num-heads 3 --num-blks 4 --use-bias "
      "--emb-dropout 0 --blk-dropout 0 --layer-norm-eps 1e-6 --num-classes 1000 --num-channels 3 --whole-last-block";
  CHECK(answers("train\\neval\\n", vit).size() == 2);
  CHECK(answers("train\\n", "--model resnet18 --img-size 32 --num-channels 3").size() == 1);
  check_refuses("bench", "--lockstep --num-heads 3 < /dev/null", 1, "3 heads do not divide num_hiddens 512");
  check_refuses("bench", "--lockstep --model resnet18 --num-heads 3", 2, "unknown flag --num-heads");
  check_refuses("bench", "--num-heads 4", 2, "--num-heads is for --lockstep");
}
