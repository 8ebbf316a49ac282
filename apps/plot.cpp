// Draws the training curves of one or more runs.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "apps/common/command_line.h"
#include "data/files/write_file.h"
#include "optim/log/metrics.h"
#include "tensor/check.h"

using namespace bobbin;
namespace fs = std::filesystem;

namespace {

// A run is a folder with metrics.csv, or a file like it. Its name is what the user calls it.
Curves read_run(const fs::path& path) {
  check(fs::exists(path), "plot", "there is no run ", path.string());
  const fs::path file = fs::is_directory(path) ? path / "metrics.csv" : path;
  check(fs::exists(file), "plot", "the folder ", path.string(), " holds no metrics.csv, so no run of train");
  const std::vector<EpochMetrics> epochs = read_metrics(file);
  check(!epochs.empty(), "plot", "no epoch is finished in ", file.string());
  return curves(path.string(), epochs);
}

}  // namespace

int main(int argc, char** argv) try {
  std::vector<std::string> paths;
  std::string output = "curves.svg";
  CLI::App app("Draws the training curves of one or more runs as an SVG picture.", "plot");
  app.add_option("RUN", paths, "folders of runs, or their metrics.csv files")->required();
  app.add_option("-o,--output", output, "SVG file to write")
      ->check(command_line::ends_in({".svg"}))
      ->capture_default_str();
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });

  check_can_write(output);  // before the work
  std::vector<Curves> runs;
  for (const std::string& path : paths) runs.push_back(read_run(path));
  write_file(output, curves_svg(runs));
  std::printf("%s\n", output.c_str());
  command_line::check_printed();
} catch (const std::exception& error) {
  return command_line::exit_code("plot", error);
}
