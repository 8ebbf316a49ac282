#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "data/files/safetensors.h"
#include "optim/training/progress.h"
#include "tensor/rng.h"

/// Checkpoints: the full state of a training run, in one file.
namespace bobbin {

/// Notes of the program about a run, kept in its files.
struct RunNotes {
  std::string model{};   ///< what the model's files have as "bobbin" in their metadata; see describe_model()
  std::string config{};  ///< config.json: the flags, and what else it takes to repeat the run
};

/// The notes as the metadata of a file, each under its name ("bobbin", "config") behind the prefix, unless it is "".
std::map<std::string, std::string> to_metadata(const RunNotes& notes, const std::string& prefix = "");

/// The full state of a training run: it resumes as if it had never stopped, to the bit on the same processor and
/// number of threads.
struct Checkpoint {
  NamedTensors parameters{}, buffers{};           ///< of the model, by their dotted names
  std::optional<std::set<std::string>> frozen{};  ///< parameters, by their names; without a value: none ever was
  std::string optimizer{};                        ///< its name, "sgd"; of several, see Optimizers
  NamedTensors optimizer_state{};                 ///< as Optimizers::state() names it
  NamedTensors ema{};                             ///< the averaged weights; empty: none are
  Index batch_size = 0;                           ///< the images, or other examples, of a step
  std::map<std::string, Rng> streams{};  ///< of random numbers, by their names in the model; "" orders the images
  Progress progress{};
  RunNotes notes{};
};

/// One safetensors file: the tensors "parameters.NAME", "buffers.NAME", "optimizer.NAME", "ema.NAME", "losses" and
/// "epochs"; the rest as JSON in the metadata "training", and the notes as "note.bobbin" and "note.config". What grows
/// with the run is in tensors, which may have any length: what could be written once can be written, and read, to its
/// end. This is its content, for write_file(); the path is for the words of errors, which are those of
/// safetensors_content().
std::string checkpoint_content(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Throws the Error that checkpoint_content() would throw for what is in it, such as notes of more than 16 MB: before
/// the work that is to be kept there.
void check_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Throws Error, which names the file and the fault, unless it is a complete checkpoint. Reads older formats, too: with
/// the epochs as JSON; and the first, which knew SGD alone and named a stream by the layer that drew from it.
Checkpoint read_checkpoint(const std::filesystem::path& path);

}  // namespace bobbin
