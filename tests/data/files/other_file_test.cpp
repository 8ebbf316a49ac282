// Files that people give for weights, called by their names.
#include "data/files/other_file.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "data/files/safetensors.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
using std::string_view_literals::operator""sv;

namespace {

// What is said of a file of this name and content, and that it is all that is said by who reads weights.
std::string said(const std::string& name, std::string_view content) {
  const TempFolder folder;
  const auto path = write_file(folder / name, Bytes(content.begin(), content.end()));
  const std::string what = what_it_is(path);
  const std::string error = error_of([&] { read_safetensors(path); });
  if (!what.empty()) CHECK(error == "[read_safetensors] \"" + path.string() + "\" " + what);
  CHECK(!contains(error, "\n"));
  return what;
}

}  // namespace

TEST_CASE("what_it_is: files that are something else") {
  const std::string zip = "PK\x03\x04" + std::string(26, '\0');
  const struct {
    std::string name;
    std::string_view content;
    std::string what;
  } cases[] = {
      {"a", "\x89PNG\r\n\x1a\n....", "is a PNG picture, expected weights in a safetensors file"},
      {"a", "\xff\xd8\xff\xe0\0\x10JFIF"sv, "a JPEG picture"},
      {"a", "RIFF\x24\0\0\0WEBPVP8 "sv, "a WebP picture"},
      {"a", "\x89HDF\r\n\x1a\n\0\0"sv, "an HDF5 file"},
      {"a", "\x93NUMPY\x01\0v\0{'descr'"sv, "an array of NumPy's"},
      {"a", "GGUF\x03\0\0\0\0\0"sv, "a GGUF file"},
      {"a", "\x1c\0\0\0TFL3\0\0"sv, "TensorFlow Lite"},
      {"a", "\x1f\x8b\x08\0\0\0\0\0\0"sv, "compressed by gzip"},
      {"a", "\x08\x07\x12\x07pytorch\x1a\x03"sv, "ONNX"},
      {"a.onnx", "\x12\x07pytorch\x1a\x03\xff"sv, "ONNX"},
      {"a",
       "\x82\xa3"
       "abc\x82\xa4"
       "bias\xc7"sv,
       "a MessagePack file, as Flax"},
      {"a", "\x80\x04\x95\x10\0\0\0\0\0\0\0}"sv, "a pickle of Python's"},
      {"a.pt", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9 jP.\x80"sv, "torch.save()"},
      {"a", "\0\0\x08\x03\0\0\xea\x60\0\0"sv, "a file of images, of MNIST's kind"},
      {"a", "\x12\x01\0\0\0\0\0\0\0\0"sv, "MXNet's parameters"},
      {"a",
       "\0\0\0\x18"
       "ftypheic\0\0"sv,
       "a HEIC"},
      {"a", "", "is empty"},
      {"a", "<!DOCTYPE html>\n<html>", "a page of HTML"},
      {"a", "\n  <HTML lang='en'>", "a page of HTML"},
      {"a", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull fetches"},
      {"config.json", "{\n  \"architectures\": [\"ViT\"]}", "describes a model, but does not hold its weights"},
      {"a", "{\"metadata\": {}, \"weight_map\": {}}", "spread over several files"},
      {"a", "{\"epochs\": 3}", "is JSON"},
      {"a", "[1, 2, 3, 4, 5]", "is JSON"},
      {"a", "Entry not found", "is text that begins with \"Entry not found\""},
      {"checkpoint", "model_checkpoint_path: \"model.ckpt-1\"\n", "TensorFlow"},
      {"m.ckpt.data-00000-of-00001", "\xfe\xff\x01\0\0\0\0\0\0\0"sv, "a checkpoint of TensorFlow"},
      {"m.index", "\0\0\0\0\0\0\0\0\0\0\x57\xfb\x80\x8b\x24\x75\x47\xdb"sv, "index of a checkpoint of TensorFlow"},
      {"a", "\xfe\xff\x01\0\0\0\0\0\0\0"sv, ""},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    CAPTURE(c.what);
    const std::string what = said(c.name, c.content);
    if (c.what.empty())
      CHECK(what == "");
    else
      CHECK(contains(what, c.what));
  }
  CHECK(contains(said("a.tar", std::string(257, '\0') + "ustar\0"), "a tar archive"));
  CHECK(contains(said("a", zip + "a.npy"), "an .npz file"));
  CHECK(contains(said("a", zip + "something"), "a ZIP archive"));
  CHECK(contains(said("a", zip + std::string(9000, '\0') + "a/constants.pkl"), "a TorchScript program"));
  const std::string pth = said("vit_b_16-c867db91.pth", zip + "archive/data.pklFB");
  CHECK(contains(pth, "is a file of PyTorch's torch.save(); three lines of Python"));
  CHECK(contains(pth, "weights = torch.load('vit_b_16-c867db91.pth', map_location='cpu', weights_only=True)"));
  CHECK(contains(pth, "'vit_b_16-c867db91.safetensors')"));
}

TEST_CASE("what_it_is: folders, and what is none of it") {
  const TempFolder folder;
  CHECK(what_it_is(folder / "none") == "");
  CHECK(what_it_is(folder / "") == "is a folder, expected a file");
  for (const char* name : {"model.safetensors", "best.safetensors", "checkpoint-00000001.safetensors"})
    write_file(folder / name, Bytes{1});
  CHECK(what_it_is(folder / "") ==
        "is a folder, expected a file, such as those in it: best.safetensors, model.safetensors");
  CHECK(fails([&] { read_safetensors(folder / ""); }, {"is a folder, expected a file, such as"}));
  write_safetensors(folder / "x.safetensors", {{"a", Tensor::ones({2})}});
  CHECK(read_safetensors(folder / "x.safetensors").tensors.size() == 1);
}
