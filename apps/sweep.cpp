// Trains with each of several values of some flags, one run after the other, and compares the runs. All that it does
// itself is this loop around train.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "data/drawing/curves.h"
#include "data/files/write_file.h"
#include "optim/log/metrics.h"
#include "optim/training/interrupt.h"
#include "optim/training/run_folder.h"
#include "optim/training/run_lock.h"
#include "tensor/check.h"
#include "tensor/text.h"

using namespace bobbin;
namespace fs = std::filesystem;

extern char** environ;

namespace {

constexpr const char* help =
    "Trains with every combination of the values of some flags, one run after the other, and compares the runs.\n\n"
    "  build/sweep --preset quick --lr 0.02,0.05 --seed 0..2 --val-split .1\n\n"
    "All flags are those of train, whose --help lists them. One with several values, 1e-3,2e-3 or for whole numbers\n"
    "0..2, is varied. --output-dir [runs/sweep] gets a folder for each run, results.csv and curves.svg. The table has "
    "the\n"
    "mean over the seeds, and in brackets the lowest and highest. Called once more, it goes on where it stopped.\n";

using Words = std::vector<std::string>;

// A flag of train, and the values that it takes in turn: each some words, as in --std 0.2 0.3 0.4.
struct Flag {
  std::string name;
  std::vector<Words> values;
};

bool is_whole(const std::string& text) {
  return !text.empty() && text.size() < 10 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

// "0.02" is .02, too.
bool same_value(const std::string& a, const std::string& b) {
  const auto number = [](const std::string& text) -> std::optional<double> {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return text.empty() || *end ? std::nullopt : std::optional(value);
  };
  return a == b || (number(a) && number(a) == number(b));
}

// "1e-3,2e-3" and "0..2" are several values; a path is one.
std::vector<Words> values_of(const std::string& word) {
  if (word.find('/') != word.npos) return {{word}};
  std::vector<Words> values;
  std::istringstream parts(word);
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t dots = part.find("..");
    const std::string first = part.substr(0, dots), last = dots == part.npos ? "" : part.substr(dots + 2);
    if (!is_whole(first) || !is_whole(last)) {
      values.push_back({part});
      continue;
    }
    check(std::stol(first) <= std::stol(last) && std::stol(last) - std::stol(first) < 1000, "sweep", part,
          " should rise, by less than 1000");
    for (long i = std::stol(first); i <= std::stol(last); ++i) values.push_back({std::to_string(i)});
  }
  for (std::size_t i = 0; i < values.size(); ++i)  // a run twice would count twice in the mean
    for (std::size_t j = 0; j < i; ++j)
      check(!same_value(values[i][0], values[j][0]), "sweep", word, " has the value ", values[i][0], " twice");
  return values;
}

struct Sweep {
  fs::path folder = "runs/sweep";
  std::vector<Flag> flags;
};

Sweep parse(int argc, char** argv) {
  Sweep sweep;
  const Words words(argv + 1, argv + argc);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string word = words[i];
    if (word == "--help" || word == "-h") {
      std::fputs(help, stdout);
      command_line::check_printed();
      std::exit(0);
    }
    check(word.size() > 1 && word[0] == '-' && !std::isdigit(static_cast<unsigned char>(word[1])), "sweep",
          "the value ", word, " stands behind no flag");
    const std::size_t equals = word.find('=');
    Flag flag{word.substr(0, equals), {}};
    if (equals != word.npos) flag.values = values_of(word.substr(equals + 1));
    const auto is_value = [](const std::string& w) {
      return w[0] != '-' || w.size() == 1 || w.find_first_not_of("-.0123456789e,") == w.npos;
    };
    Words given;
    while (i + 1 < words.size() && !words[i + 1].empty() && is_value(words[i + 1])) given.push_back(words[++i]);
    for (const char* single : {"--resume", "--graph", "--show-batch"})
      check(flag.name != single, "sweep", flag.name, " is for a single run, of train; a sweep goes on by itself");
    if (given.size() == 1) flag.values = values_of(given[0]);
    if (given.size() > 1) flag.values = {given};  // several words are one value
    if (flag.name == "--output-dir") {
      check(flag.values.size() == 1 && flag.values[0].size() == 1, "sweep", "--output-dir needs one folder");
      sweep.folder = flag.values[0][0];
      continue;
    }
    for (const Flag& other : sweep.flags) check(other.name != flag.name, "sweep", flag.name, " is given twice");
    sweep.flags.push_back(flag);
  }
  return sweep;
}

// A run of the sweep.
struct Run {
  std::string name;     // of its folder, "lr=1e-3,seed=0": what is varied
  std::string setting;  // the same without the seed
  Words words;          // for train
};

std::vector<Run> runs_of(const Sweep& sweep) {
  std::vector<Run> runs(1);
  for (const Flag& flag : sweep.flags) {
    std::vector<Run> longer;
    for (const Run& run : runs)
      for (std::size_t i = 0; i < std::max<std::size_t>(flag.values.size(), 1); ++i) {
        Run next = run;
        next.words.push_back(flag.name);
        if (!flag.values.empty()) next.words.insert(next.words.end(), flag.values[i].begin(), flag.values[i].end());
        if (flag.values.size() > 1) {
          const std::string part = flag.name.substr(flag.name.find_first_not_of('-')) + "=" + flag.values[i][0];
          next.name += (next.name.empty() ? "" : ",") + part;
          if (flag.name != "--seed") next.setting += (next.setting.empty() ? "" : ",") + part;
        }
        longer.push_back(next);
      }
    runs = longer;
  }
  for (Run& run : runs) {
    if (run.name.empty()) run.name = "run";
    if (run.setting.empty()) run.setting = "all";
  }
  return runs;
}

// Runs train, which is told of a signal by SIGTERM; of Ctrl-C it may know by itself. Returns its exit code.
int run_train(const Words& words) {
  const fs::path sweep = fs::read_symlink("/proc/self/exe");  // train lies beside it, named as it is
  std::string program = sweep.parent_path() / (sweep.filename() == "bobbin-sweep" ? "bobbin-train" : "train");
  Words all{program};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);
  const Interrupt interrupt;
  std::signal(SIGCHLD, SIG_DFL);  // where it is ignored nobody can be waited for
  pid_t child = 0;
  check(posix_spawn(&child, program.c_str(), nullptr, nullptr, argv.data(), environ) == 0, "sweep", "cannot start ",
        program);
  int status = 0;
  pid_t ended = 0;
  for (bool told = false; (ended = waitpid(child, &status, WNOHANG)) == 0; usleep(20000))
    if (!told && Interrupt::received()) told = kill(child, SIGTERM) == 0;
  check(ended == child, "sweep", "cannot wait for ", program);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string content_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Does the run, or the rest of it, unless it is done. sweep.txt in its folder says with which flags, and whether.
int finish(const Run& run, const fs::path& folder) {
  const fs::path note = folder / "sweep.txt";
  std::string flags;
  for (const std::string& word : run.words) flags += word + "\n";
  const std::string done = flags + "done\n", was = content_of(note);
  if (was == done) return 0;
  check(!was.empty() || !fs::exists(folder), "sweep", folder.string(), " is there already, and no run of a sweep");
  const bool has_begun = was.ends_with("\ndone\n") || (!was.empty() && RunFolder(folder).newest_step() >= 0);
  check(was == flags || !has_begun, "sweep", "the run in ", folder.string(),
        " had other flags; give the sweep another --output-dir, or remove it");
  Words words{"--resume", folder.string()};
  if (!has_begun) {
    if (!was.empty()) {  // it ended before there was anything to go on with; or it has not ended
      RunLock not_running(folder);
      fs::remove_all(folder);
    }
    make_folder(folder);
    write_file(note, flags);
    words = run.words;
    words.insert(words.end(), {"--output-dir", folder.string()});
  }
  const int code = run_train(words);
  if (code == 0) write_file(note, done);
  return code;
}

// What a run came to: the accuracies of the last epoch, and those of test.csv or val.csv; and the seconds it took.
std::vector<std::pair<std::string, double>> outcome(const fs::path& folder, const std::vector<EpochMetrics>& epochs) {
  std::vector<std::pair<std::string, double>> all;
  for (const auto& [name, value] : epochs.back().metrics)
    if (name.find("acc") != name.npos) all.emplace_back(name, value);
  for (const char* part : {"val", "test"}) {
    std::istringstream lines(content_of(folder / (std::string(part) + ".csv")));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::vector<std::string> fields;
      std::istringstream in(line);
      for (std::string field; std::getline(in, field, ',');) fields.push_back(field);
      check(fields.size() == 5, "sweep", (folder / part).string(), ".csv is damaged: ", line);
      all.emplace_back(std::string(part) + "_" + fields[0] + (fields[1] == "none" ? "" : "_" + fields[1]),
                       std::strtod(fields[4].c_str(), nullptr));
    }
  }
  double seconds = 0;
  for (const EpochMetrics& e : epochs) seconds += e.seconds;
  all.emplace_back("seconds", seconds);
  return all;
}

// Of those that have ended.
void compare(const Sweep& sweep, const std::vector<Run>& runs) {
  std::vector<Curves> all_curves;
  std::vector<std::string> settings, measures;
  std::map<std::pair<std::string, std::string>, std::vector<double>> values;  // of a setting and a measure
  for (const Run& run : runs) {
    const fs::path folder = sweep.folder / run.name;
    const std::vector<EpochMetrics> epochs = read_metrics(folder / "metrics.csv");
    check(!epochs.empty(), "sweep", "no epoch is finished in ", folder.string());
    all_curves.push_back(curves(run.name, epochs));
    if (std::find(settings.begin(), settings.end(), run.setting) == settings.end()) settings.push_back(run.setting);
    for (const auto& [measure, value] : outcome(folder, epochs)) {
      if (std::find(measures.begin(), measures.end(), measure) == measures.end()) measures.push_back(measure);
      values[{run.setting, measure}].push_back(value);
    }
  }
  std::size_t widest = 7;
  for (const std::string& setting : settings) widest = std::max(widest, setting.size());
  std::string csv = "setting,measure,runs,mean,lowest,highest\n";
  std::printf("\n%-*s  runs", static_cast<int>(widest), "setting");
  for (const std::string& measure : measures) std::printf("  %-23s", measure.c_str());
  for (const std::string& setting : settings) {
    std::printf("\n%-*s", static_cast<int>(widest), setting.c_str());
    for (const std::string& measure : measures) {
      const std::vector<double>& v = values[{setting, measure}];
      if (measure == measures[0]) std::printf("  %4zu", v.size());
      if (v.empty()) continue;
      double sum = 0;
      for (const double x : v) sum += x;
      const auto [low, high] = std::minmax_element(v.begin(), v.end());
      const int digits = measure == "seconds" ? 1 : 4;
      const double mean = sum / static_cast<double>(v.size());
      std::printf("  %-23s", format("%.*f (%.*f, %.*f)", digits, mean, digits, *low, digits, *high).c_str());
      csv += "\"" + setting + "\"," + measure + format(",%zu,%.6f,%.6f,%.6f\n", v.size(), mean, *low, *high);
    }
  }
  std::puts("\n");
  write_file(sweep.folder / "results.csv", csv);
  write_file(sweep.folder / "curves.svg", curves_svg(all_curves));
  for (const char* file : {"results.csv", "curves.svg"}) std::printf("%s\n", (sweep.folder / file).c_str());
}

}  // namespace

int main(int argc, char** argv) try {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  const Sweep sweep = parse(argc, argv);
  const std::vector<Run> runs = runs_of(sweep);
  make_folder(sweep.folder);
  std::vector<Run> ended;
  std::string failed;  // such as those that have diverged
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::printf("run %zu of %zu: %s\n", i + 1, runs.size(), runs[i].name.c_str());
    int code = finish(runs[i], sweep.folder / runs[i].name);
    if (Interrupt::received()) code = 128 + Interrupt::received();  // though the run may have come to its end
    if (code > 1) {
      std::fprintf(stderr, "sweep: %s run %zu of %zu; the same command goes on with it\n",
                   code > 128 ? "stopped in" : "an error ended", i + 1, runs.size());
      return code;
    }
    if (code == 0) ended.push_back(runs[i]);
    if (code == 1) failed += (failed.empty() ? "" : ", ") + runs[i].name;
  }
  if (!ended.empty()) compare(sweep, ended);
  command_line::check_printed();
  if (failed.empty()) return 0;
  std::fprintf(stderr, "sweep: an error ended %s; the same command tries again\n", failed.c_str());
  return 1;
} catch (const std::exception& error) {
  return command_line::exit_code("sweep", error);
}
