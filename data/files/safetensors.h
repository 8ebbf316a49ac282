// Named tensors, to and from the file format in which models are exchanged.
#pragma once
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "tensor/tensor.h"

namespace bobbin {

/// Tensors with their names, as a file of weights holds them.
using NamedTensors = std::map<std::string, Tensor>;

/// The content of a safetensors file.
struct Safetensors {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;  ///< notes of whoever wrote it; {"format", "pt"} is PyTorch's
};

/// Reads a file in the safetensors format (Hugging Face, 2022), in which models are exchanged: the length of a JSON
/// header, the header with name, type, shape and place of each tensor, and their numbers.
/// F32, F64, F16, BF16 and I64 become `real`, infinities and NaN included. A header lists at most 100,000 tensors and
/// notes. Everything that the header says is checked against the size of the file before memory is taken for it, so
/// that reading takes about the memory of the tensors and the header, whatever the file claims. Throws Error, which
/// names the file and what is wrong in it, unless it follows the format to the letter: no byte of it unused, none used
/// twice, no name twice. A file that is something else is called by its name; see what_it_is(). Throws also for a
/// tensor of another type, of more than Shape::max_rank axes, with no numbers in it, or with a number too large for
/// `real`.
Safetensors read_safetensors(const std::filesystem::path& path);

/// The content of a safetensors file as far as it can be had as `real`.
struct ReadableTensors : Safetensors {
  std::map<std::string, std::string> unread{};  ///< the other tensors, and why: "with numbers of type \"BOOL\", ..."
  std::set<std::string> whole{};                ///< those of `tensors` that are whole numbers in the file, of type I64
};

/// The same, but for a tensor that cannot be read, which is left out: whoever does not need it is not hindered.
ReadableTensors read_readable_safetensors(const std::filesystem::path& path);

/// Writes the tensors as such a file: as I64 those that `whole` names, of whole numbers, then the others as F32, or F64
/// where `real` is double, each in the order of their names. The metadata get "format": "pt" if they have no "format";
/// transformers refuses a file without it. Throws Error if a number that should be whole is not, a name or a note is
/// not UTF-8, for what read_safetensors() would refuse (a name or a note of more than 16 MB, more than 100,000 of
/// them), or if the file cannot be written; see write_file().
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       const std::set<std::string>& whole = {});

/// All that it would write, to be written later; the path is for the words of its Error.
std::string safetensors_content(const std::filesystem::path& path, const NamedTensors& tensors,
                                std::map<std::string, std::string> metadata = {},
                                const std::set<std::string>& whole = {});

/// Throws the Error that write_safetensors() would throw for the tensors and metadata themselves; writes nothing.
void check_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       std::map<std::string, std::string> metadata = {});

}  // namespace bobbin
