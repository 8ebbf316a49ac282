#include "optim/training/run_folder.h"

#include <algorithm>
#include <cstdio>

#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

// checkpoint-00000469.safetensors, and then `behind` -> 469; -1 for any other name.
Index step_of(const fs::path& path, const std::string& behind = "") {
  long long step = -1;
  int length = 0;
  const std::string name = path.filename().string();
  const bool is_one = std::sscanf(name.c_str(), "checkpoint-%lld.safetensors%n", &step, &length) == 1 && length > 0 &&
                      name.substr(static_cast<std::size_t>(length)) == behind;
  return is_one ? step : -1;
}

}  // namespace

RunFolder RunFolder::of(const fs::path& run) {
  if (fs::is_directory(run)) return RunFolder(run);
  return RunFolder(run.has_parent_path() ? run.parent_path() : ".");
}

fs::path RunFolder::checkpoint(Index step) const {
  return folder_ / format("checkpoint-%08lld.safetensors", static_cast<long long>(step));
}

void RunFolder::check_is_free() const {
  std::error_code none;  // a folder that cannot be listed holds no run that could be overwritten
  for (fs::directory_iterator file(folder_, none), end; !none && file != end; file.increment(none)) {
    const fs::path& path = file->path();
    const std::string name = path.filename().string();
    const bool taken = path == metrics() || path == config() || path == model() || path == best() ||
                       (name.starts_with("checkpoint-") && name.ends_with(".safetensors"));
    check(!taken, "Trainer", "the output directory ", folder_.string(), " holds the ", name,
          " of another run; choose a new directory or remove the file");
  }
}

std::vector<fs::path> RunFolder::newest_first(const std::string& behind) const {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator file(folder_, error), end; !error && file != end; file.increment(error))
    if (step_of(file->path(), behind) >= 0) found.push_back(file->path());
  check(!error, "checkpoint", "the folder ", folder_, " cannot be read: ", error.message());
  std::sort(found.begin(), found.end(),
            [&](const auto& a, const auto& b) { return step_of(a, behind) > step_of(b, behind); });
  return found;
}

void RunFolder::write(const Checkpoint& c, int keep) const {
  const Index step = c.progress.steps();
  write_checkpoint(checkpoint(step), c);
  int kept = 0;
  std::error_code ignored;  // one that stays does no harm
  for (const fs::path& path : newest_first()) {
    const bool past = step_of(path) <= step;  // later ones are of a run that was given up to go on from before
    if (!past || ++kept > keep) fs::remove(path, ignored);
  }
  for (const fs::path& path : newest_first(".tmp")) fs::remove(path, ignored);  // of a run that was killed
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
