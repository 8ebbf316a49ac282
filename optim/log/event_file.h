// The numbers of a run, for TensorBoard.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/real.h"

namespace bobbin {

/// A scalar for TensorBoard: one point of the curve called `tag`.
struct Scalar {
  std::string tag;
  double value;
};

/// A file that TensorBoard reads while it grows: `tensorboard --logdir FOLDER`. (Its format is at the top of the
/// source.) Each process begins a file of its own, as TensorBoard wants it: `events.out.tfevents.<seconds>.<host>`.
///
///     EventFile events("runs/mine");
///     events.write(e.step, {{"train_loss", e.train_loss}, {"val_acc", e.val_acc}});
class EventFile {
 public:
  /// Begins a new file in the folder. Throws Error if it cannot be made.
  explicit EventFile(const std::filesystem::path& folder);

  /// From the event files in a folder takes what a run that goes on after `step` will write again: all that is after
  /// it, and what of that step has a scalar of this name, unless it is "". So no point of a curve is there twice.
  /// Throws Error with the path and the system's reason if a file cannot be read or cut.
  static void rewind(const std::filesystem::path& folder, Index step, const std::string& tag);

  /// Adds one record, which is on its way to the disk at once: a crash loses no record before it.
  /// Throws Error with the path and the system's reason (no space left).
  void write(Index step, const std::vector<Scalar>& scalars);

  /// Where the file is.
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void append(const std::string& event);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
};

/// CRC-32C (Castagnoli), RFC 3720, section 12.1.
std::uint32_t crc32c(std::string_view bytes);

}  // namespace bobbin
