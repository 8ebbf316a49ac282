// Draws the training curves of one or more runs, as a picture or as a page.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "apps/common/command_line.h"
#include "data/files/write_file.h"
#include "optim/log/metrics.h"
#include "optim/log/report.h"
#include "optim/training/run_folder.h"
#include "tensor/check.h"

using namespace bobbin;
namespace fs = std::filesystem;

namespace {

// A run is a folder with metrics.csv, or a file like it. Its name is what the user calls it.
Report report_of(const fs::path& path, bool page) {
  check(fs::exists(path), "plot", "there is no run ", path.string());
  const fs::path file = fs::is_directory(path) ? path / "metrics.csv" : path;
  check(fs::exists(file), "plot", "the folder ", path.string(), " holds no metrics.csv, so no run of train");
  Report run = page && fs::is_directory(path)
                   ? read_report(path.string(), RunFolder(path))
                   : Report{.name = path.string(), .epochs = read_metrics(file), .written = std::time(nullptr)};
  check(!run.epochs.empty(), "plot", "no epoch is finished in ", file.string());
  return run;
}

// What a shell finds beside runs: folders of something else, what a sweep writes beside its runs.
bool is_no_run(const fs::path& path) {
  if (fs::is_directory(path)) return !fs::exists(path / "metrics.csv");
  return fs::exists(path) && (path.extension() != ".csv" || path.filename() == "results.csv");
}

}  // namespace

int main(int argc, char** argv) try {
  std::vector<std::string> paths;
  std::string output;
  bool page = false;
  CLI::App app(
      "Draws the training curves of one or more runs as an SVG picture, or as a page that shows their values under the "
      "cursor and where their flags differ.",
      "plot");
  app.add_option("RUN", paths, "folders of runs, or their metrics.csv files")->required();
  app.add_option("-o,--output", output, "file to write [curves.svg, or curves.html]")
      ->check(command_line::ends_in({".svg", ".html"}));
  app.add_flag("--html", page, "write a page, which a browser opens");
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });

  if (output.empty()) output = page ? "curves.html" : "curves.svg";
  check(!page || output.ends_with(".html"), "plot", "--html writes a page, so -o must end in .html, got ", output);
  check_can_write(output);  // before the work
  std::vector<Report> runs;
  std::vector<std::string> others;
  for (const std::string& path : paths)
    if (paths.size() > 1 && is_no_run(path))
      others.push_back(path);
    else
      runs.push_back(report_of(path, output.ends_with(".html")));
  check(!runs.empty(), "plot", "there is no run among the ", paths.size(), " files and folders");
  for (const std::string& path : others) std::fprintf(stderr, "plot: left out, for it is no run: %s\n", path.c_str());
  std::vector<Curves> lines;
  for (const Report& run : runs) lines.push_back(curves(run.name, run.epochs));
  write_file(output, !output.ends_with(".html") ? curves_svg(lines)
                     : runs.size() == 1         ? report_html(runs[0])
                                                : comparison_html(runs));
  std::printf("%s\n", output.c_str());
  command_line::check_printed();
} catch (const std::exception& error) {
  return command_line::exit_code("plot", error);
}
