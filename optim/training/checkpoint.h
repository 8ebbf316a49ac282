#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/files/safetensors.h"
#include "nn/module.h"
#include "optim/log/training_log.h"
#include "optim/sgd.h"
#include "tensor/rng.h"

namespace bobbin {

/// Everything that a training run needs to go on as if it had never stopped: to the bit, on the same processor and
/// number of threads.
struct Checkpoint {
  NamedTensors parameters;             ///< by their dotted names
  NamedTensors velocities;             ///< of SGD, by the parameter's name
  SGDOptions optimizer;                ///< as they were, lr with them
  Index batch_size = 0;                ///< the images of a step
  std::map<std::string, Rng> streams;  ///< of random numbers, by the path of the layer that draws; "" orders the images
  TrainingProgress progress;
  std::map<std::string, std::string> notes;  ///< what else must be known of the run: its flags, the model's shape
};

/// One safetensors file: the tensors "parameters.NAME", "velocities.NAME" and "losses", the rest as JSON in the
/// metadata "training", and each note as "note.NAME". Throws Error as write_file() does.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Throws Error, which names the file and what is wrong with it, unless it is whole and a checkpoint.
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// The checkpoints of a training run in its output folder, "checkpoint-00000469.safetensors" after step 469.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Writes one, and then removes all before it but the `keep - 1` newest, any that are after it, and what a run that
  /// was killed left half written.
  void write(const Checkpoint& checkpoint, int keep) const;

  /// Reads the newest. If that is damaged, says so on stderr, and reads the one before.
  /// Throws Error if there is none that can be read.
  Checkpoint read_newest() const;

 private:
  std::vector<std::filesystem::path> newest_first(const std::string& behind = "") const;
  std::filesystem::path folder_;
};

}  // namespace bobbin
