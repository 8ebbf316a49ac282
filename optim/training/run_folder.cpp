#include "optim/training/run_folder.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <limits>

#include "data/files/read_file.h"
#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

// checkpoint-00000469.safetensors -> 469; -1 for any other name.
Index step_of(const fs::path& path) {
  long long step = -1;
  int length = 0;
  const std::string name = path.filename().string();
  const bool is_one = std::sscanf(name.c_str(), "checkpoint-%lld.safetensors%n", &step, &length) == 1 &&
                      static_cast<std::size_t>(length) == name.size();
  return is_one ? step : -1;
}

// The file that write_file() would have made of FILE.4711.tmp; nothing for any other name.
fs::path half_written(const fs::path& path) {
  const fs::path process = path.stem().extension();  // .4711
  const std::string digits = process.string();
  const bool is_one = path.extension() == ".tmp" && digits.size() > 1 &&
                      std::all_of(digits.begin() + 1, digits.end(), [](unsigned char c) { return std::isdigit(c); });
  return is_one ? path.parent_path() / path.stem().stem() : fs::path();
}

}  // namespace

RunFolder RunFolder::of(const fs::path& run) {
  if (fs::is_directory(run)) return RunFolder(run);
  return RunFolder(run.has_parent_path() ? run.parent_path() : ".");
}

fs::path RunFolder::checkpoint(Index step) const {
  return folder_ / format("checkpoint-%08lld.safetensors", static_cast<long long>(step));
}

bool RunFolder::is_ours(const fs::path& file) const {
  const fs::path all[] = {metrics(), config(), losses(), curves(), report(), model(), ema(), best()};
  return std::find(std::begin(all), std::end(all), file) != std::end(all) || step_of(file) >= 0;
}

void RunFolder::check_is_free() const {
  std::error_code none;  // a folder that cannot be listed holds no run that could be overwritten
  for (fs::directory_iterator file(folder_, none), end; !none && file != end; file.increment(none)) {
    const fs::path& path = file->path();
    const std::string name = path.filename().string();
    const bool taken = is_ours(path) || (name.starts_with("checkpoint-") && name.ends_with(".safetensors"));
    check(!taken, "Trainer", "the output directory ", folder_.string(), " holds the ", name,
          " of another run; choose a new directory or remove the file");
  }
}

void RunFolder::remove_half_written() const {
  std::error_code ignored;  // one that stays does no harm
  std::vector<fs::path> found;
  for (fs::directory_iterator file(folder_, ignored), end; !ignored && file != end; file.increment(ignored))
    if (is_ours(half_written(file->path()))) found.push_back(file->path());
  for (const fs::path& path : found) fs::remove(path, ignored);
}

std::vector<fs::path> RunFolder::newest_first() const {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator file(folder_, error), end; !error && file != end; file.increment(error))
    if (step_of(file->path()) >= 0) found.push_back(file->path());
  check(!error, "checkpoint", "the folder ", folder_, " cannot be read: ", error.message());
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return step_of(a) > step_of(b); });
  return found;
}

std::function<void()> RunFolder::writing(const Checkpoint& c, int keep) const {
  const Index step = c.progress.steps();
  return [folder = *this, step, keep, content = checkpoint_content(checkpoint(step), c)] {
    write_file(folder.checkpoint(step), content);
    int kept = 0;
    std::error_code ignored;  // one that stays does no harm
    for (const fs::path& path : folder.newest_first()) {
      const bool past = step_of(path) <= step;  // later ones are of a run that was given up to go on from before
      if (!past || ++kept > keep) fs::remove(path, ignored);
    }
  };
}

Index RunFolder::newest_step() const {
  const std::vector<fs::path> all = newest_first();
  return all.empty() ? -1 : step_of(all[0]);
}

Index RunFolder::best_step() const {
  std::error_code none;
  if (!fs::exists(best(), none)) return -1;
  try {
    const auto notes = read_readable_safetensors(best()).metadata;
    const auto step = notes.find("step");
    return step == notes.end() ? -1 : static_cast<Index>(std::strtoll(step->second.c_str(), nullptr, 10));
  } catch (const Error&) {  // whoever wants it will be told
    return -1;
  }
}

void RunFolder::copy_best(const RunFolder& from, Index step) const {
  const Index written = from.best_step();
  if (written < 0 || written > step) return;
  const std::vector<std::uint8_t> content =
      read_file("Trainer", from.best(), std::numeric_limits<std::uintmax_t>::max());
  make_folder(folder_);
  write_file(best(), {reinterpret_cast<const char*>(content.data()), content.size()});
}

Checkpoint RunFolder::newest_checkpoint() const {
  const std::vector<fs::path> all = newest_first();
  check(!all.empty(), "checkpoint", "the folder ", folder_, " holds no checkpoint-*.safetensors to go on from");
  for (std::size_t i = 0; i + 1 < all.size(); ++i) try {
      return read_checkpoint(all[i]);
    } catch (const Error& error) {
      std::fprintf(stderr, "%s; going back to the checkpoint before\n", error.what());
    }
  return read_checkpoint(all.back());
}

Checkpoint read_run(const fs::path& run) {
  return fs::is_directory(run) ? RunFolder(run).newest_checkpoint() : read_checkpoint(run);
}

}  // namespace bobbin
