// A file that is something else, called by its name: by what it begins with, for names can lie.
#include "data/files/other_file.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string_view>
#include <system_error>
#include <vector>

namespace bobbin {
namespace {

using std::string_view_literals::operator""sv;
namespace fs = std::filesystem;

struct Magic {
  std::size_t at;
  std::string_view bytes;
  const char* what;
};
constexpr Magic magics[] = {
    {0, "\x89PNG\r\n\x1a\n"sv, "a PNG picture"},
    {0, "\xff\xd8\xff"sv, "a JPEG picture"},
    {0, "GIF8"sv, "a GIF picture"},
    {8, "WEBP"sv, "a WebP picture"},
    {0, "II*\0"sv, "a TIFF picture"},
    {0, "MM\0*"sv, "a TIFF picture"},
    {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file, as Keras writes weights"},
    {0, "\x93NUMPY"sv, "an array of NumPy's"},
    {0, "GGUF"sv, "a GGUF file, as llama.cpp reads weights"},
    {0, "lmgg"sv, "a GGML file"},
    {4, "TFL3"sv, "a model of TensorFlow Lite"},
    {0, "\x1f\x8b"sv, "compressed by gzip"},
    {0, "BZh"sv, "compressed by bzip2"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "compressed by xz"},
    {0, "\x28\xb5\x2f\xfd"sv, "compressed by zstd"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
    {257, "ustar"sv, "a tar archive"},
    {0, "%PDF"sv, "a PDF document"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program"},
    {0, "\0\0\x08\x01"sv, "a file of labels, of MNIST's kind"},
    {0, "\0\0\x08\x03"sv, "a file of images, of MNIST's kind"},
    {0, "\x12\x01\0\0\0\0\0\0"sv, "a file of MXNet's parameters"},
    {4, "ftyp"sv, "a HEIC or AVIF picture, or a film"},
    {0, "PAR1"sv, "a Parquet file"},
    {23, "brain.Event:"sv, "a log of TensorBoard's"},
};
// The end of an SSTable, as TensorFlow writes the index of a checkpoint.
constexpr std::string_view sstable_end = "\x57\xfb\x80\x8b\x24\x75\x47\xdb"sv;

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// The folder, and what can be had in it.
std::string folder(const fs::path& path) {
  std::vector<std::string> weights;
  std::error_code unreadable;
  for (fs::directory_iterator file(path, unreadable), end; !unreadable && file != end; file.increment(unreadable))
    if (const std::string name = file->path().filename().string();
        name.ends_with(".safetensors") && !name.starts_with("checkpoint-"))
      weights.push_back(name);
  if (weights.empty()) return "is a folder, expected a file";
  std::sort(weights.begin(), weights.end());
  std::string names;
  for (std::size_t i = 0; i < std::min<std::size_t>(weights.size(), 4); ++i) names += (i ? ", " : "") + weights[i];
  return "is a folder, expected a file, such as those in it: " + names;
}

// Three lines of Python, in one: they can be pasted.
std::string torch_save(const fs::path& path) {
  fs::path to = path.filename();
  to.replace_extension(".safetensors");
  return "is a file of PyTorch's torch.save(); three lines of Python make a safetensors file of its weights, "
         "import safetensors.torch, torch; weights = torch.load('" +
         path.filename().string() +
         "', map_location='cpu', weights_only=True); safetensors.torch.save_file({name: x.clone().contiguous() for "
         "name, x in weights.items()}, '" +
         to.string() + "'), where a training run's file has the weights in weights['state_dict'] or weights['model']";
}

std::string json(const std::string& text, const fs::path& path) {
  if (contains(text, "\"weight_map\"") || path.filename().string().ends_with(".index.json"))
    return "is the list of a model's weights that are spread over several files; as NAME.index.json beside them it "
           "stands for the model";
  if (contains(text, "\"architectures\"") || contains(text, "\"architecture\"") || contains(text, "\"model_type\"") ||
      contains(text, "\"flags\"") || path.filename() == "config.json")
    return "describes a model, but does not hold its weights: these are in a safetensors file, which may lie beside it";
  return "is JSON, expected weights in a safetensors file";
}

bool is_text(const std::string& begin) {
  return std::all_of(begin.begin(), begin.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 32 || byte == '\t' || byte == '\n' || byte == '\r';
  });
}

}  // namespace

std::string what_it_is(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return folder(path);
  if (!fs::is_regular_file(path, error)) return "";
  std::ifstream file(path, std::ios::binary);
  std::string begin(4096, '\0');
  file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  begin.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  if (!file.is_open() || file.bad()) return "";
  if (begin.empty()) return "is empty, expected weights in a safetensors file";
  const std::string expected = ", expected weights in a safetensors file";
  const auto byte = [&](std::size_t i) { return i < begin.size() ? static_cast<unsigned char>(begin[i]) : 0; };

  const auto ending = [&](std::streamoff most) {
    file.clear();
    file.seekg(0, std::ios::end);
    const std::streamoff size = std::min<std::streamoff>(file.tellg(), most);
    file.seekg(-size, std::ios::end);
    std::string end(static_cast<std::size_t>(size), '\0');
    return file.read(end.data(), size) ? end : "";
  };

  if (begin.starts_with("PK\x03\x04")) {
    const std::string names = begin + ending(1 << 16);  // the list of what is in it stands at the end
    if (contains(names, "constants.pkl"))
      return "is a TorchScript program: torch.jit.load('" + path.filename().string() +
             "').state_dict() has its weights, and safetensors.torch.save_file() writes them";
    if (contains(names, "data.pkl")) return torch_save(path);
    if (contains(names, ".npy")) return "is an .npz file of NumPy's arrays" + expected;
    if (contains(names, "metadata.json")) return "is a model of Keras" + expected;
    return "is a ZIP archive" + expected;
  }
  // Before its ZIP files torch.save() wrote pickles: of protocol 2, a long number first; and pickles are no weights.
  if (begin.starts_with("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9")) return torch_save(path);
  if (byte(0) == 0x80 && byte(1) >= 2 && byte(1) <= 5) return "is a pickle of Python's" + expected;
  for (const Magic& m : magics)
    if (begin.size() >= m.at + m.bytes.size() && begin.compare(m.at, m.bytes.size(), m.bytes) == 0)
      return std::string("is ") + m.what + expected;
  if (begin.starts_with("version https://git-lfs"))
    return "is Git LFS's note where a file is to be had, not the file, which git lfs pull fetches";
  const auto is_space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  const std::string text(std::find_if_not(begin.begin(), begin.end(), is_space), begin.end());
  const std::string low = lower(text.substr(0, 512));
  if (low.starts_with("<!doctype html") || contains(low, "<html"))
    return "is a page of HTML, as a download that went wrong leaves it" + expected;
  if (low.starts_with("<?xml") || low.starts_with("<svg")) return "is XML" + expected;
  if (text.starts_with('{') && contains(text, "\"") && is_text(begin)) return json(text, path);
  if (text.starts_with('[') && is_text(begin)) return "is JSON" + expected;
  if (contains(begin, "model_checkpoint_path:")) return "is TensorFlow's note of its checkpoints" + expected;
  const std::string name = path.filename().string();
  if (contains(name, ".ckpt.data-") || contains(name, ".data-00000-of-"))
    return "is a checkpoint of TensorFlow" + expected;
  // Flax: a map, of MessagePack, whose first key is a string.
  const bool map = (byte(0) > 0x80 && byte(0) <= 0x8f) || byte(0) == 0xde || byte(0) == 0xdf;
  const std::size_t key = byte(0) == 0xde ? 3 : byte(0) == 0xdf ? 5 : 1;
  if (map && ((byte(key) >= 0xa1 && byte(key) <= 0xbf) || byte(key) == 0xd9))
    return "is a MessagePack file, as Flax writes weights" + expected;
  // ONNX: protobuf, the version of the format first, and then who wrote it; or by its name.
  if ((byte(0) == 0x08 && byte(1) >= 1 && byte(1) <= 32 && byte(2) == 0x12) || name.ends_with(".onnx"))
    return "is a model in the ONNX format" + expected;
  if (name.ends_with(".pb")) return "is a model of TensorFlow" + expected;
  if (ending(static_cast<std::streamoff>(sstable_end.size())) == sstable_end)
    return "is the index of a checkpoint of TensorFlow" + expected;
  if (!is_text(begin)) return "";
  std::string line = text.substr(0, std::min(text.find_first_of("\r\n"), std::size_t{60}));
  return "is text that begins with \"" + line + "\"" + expected;
}

}  // namespace bobbin
