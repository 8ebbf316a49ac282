// The pages that the programs write, without a browser; tests/browser opens them in one.
#include <filesystem>

#include "data/images/codec.h"
#include "tests/apps/program.h"
#include "tests/html.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// Twelve pictures each of two classes, whose names a page has to escape.
const std::string dark = "<b>dark & \"deep\"";
std::string write_pictures(const fs::path& folder) {
  for (int i = 0; i < 24; ++i) {
    const fs::path file = folder / (i % 2 == 0 ? dark : "light <") / (std::to_string(i) + ".png");
    fs::create_directories(file.parent_path());
    write_png(file, {1, 8, 8, std::vector<std::uint8_t>(64, static_cast<std::uint8_t>(i % 2 == 0 ? i : 230 + i))});
  }
  return folder.string();
}

}  // namespace

TEST_CASE("pages: a run's report, and where its model looks") {
  const TempFolder folder;
  const std::string data = write_pictures(folder / "data"), out = (folder / "run").string();
  const Result r =
      run(program("train") + " --preset quick --img-size 8 --patch-size 4 --num-hiddens 8 " +
          "--mlp-num-hiddens 8 --num-heads 2 --num-blks 2 --lr 1e-9 -b 4 --epochs 2 --threads 1 --data-dir " + data +
          " --output-dir " + out);
  INFO(r.output);
  REQUIRE(r.status == 0);
  const std::string text = text_of_page(content(folder / "run/report.html"));
  for (const char* part : {"Ended after 2 epochs", "Best epoch: ", "&lt;b&gt;dark &amp; &quot;deep&quot;", "light &lt;",
                           "What is taken for what", "The worst mistakes", "Filters of the first layer",
                           "Position embeddings", "num_hiddens", "threads"}) {
    INFO(part);
    CHECK(contains(text, part));
  }
  const std::string picture = "'" + data + "/" + dark + "/0.png' " + data + "/light\\ \\</1.png";
  const Result looks = run(program("attention") + " --html --threads 1 " + out + "/best.safetensors " + picture +
                           " --output-dir " + out);
  INFO(looks.output);
  REQUIRE(looks.status == 0);
  CHECK(looks.output.ends_with("0-attention.html\n"));
  CHECK(contains(text_of_page(content(folder / "run/0-attention.html")), "Where a Vision Transformer looks"));
}

TEST_CASE("pages: a run that stops says so in its report") {
  const TempFolder folder;
  const std::string data = write_pictures(folder / "data"), out = (folder / "run").string();
  const Result r = run(binary("train") + " --model mlp --img-size 8 -b 4 --epochs 1000000 --threads 1 --data-dir " +
                       data + " --output-dir " + out + " & while [ ! -e " + out +
                       "/report.html ] && kill -0 $! 2> /dev/null; do sleep .1; done; " + "kill -TERM $!; wait $!");
  INFO(r.output);
  const std::string text = text_of_page(content(folder / "run/report.html"));
  CHECK(contains(text, "Stopped after step "));
  CHECK(contains(text, "build/train --resume " + out + " goes on from there."));
}
