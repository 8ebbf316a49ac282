#include "data/sets/mnist.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/files/idx.h"
#include "data/sets/fashion_mnist.h"
#include "data/sets/find_files.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

// In small letters, cut at whatever is no letter or digit.
std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> words(1);
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)))
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else
      words.emplace_back();
  std::erase(words, "");
  return words;
}

// What a file's name says: "emnist letters", "emnist-letters-test-images-idx3-ubyte.gz", is the third of the four.
struct Name {
  std::string set;
  std::size_t which;
};

std::optional<Name> parse(const std::string& file) {
  std::vector<std::string> words = words_of(file);
  if (!words.empty() && words.back() == "gz") words.pop_back();
  const auto of_format = [](const std::string& word) {
    return word == "idx" || word == "idx1" || word == "idx3" || word == "idx4" || word == "ubyte";
  };
  const auto ending = std::find_if(words.begin(), words.end(), of_format);
  if (ending == words.end() || ending - words.begin() < 2 || !std::all_of(ending, words.end(), of_format)) return {};
  const std::string &part = ending[-2], &kind = ending[-1];
  const bool train = part == "train", test = part == "test" || part == "t10k", images = kind == "images";
  if ((!train && !test) || (!images && kind != "labels")) return {};
  Name name{"", static_cast<std::size_t>(2 * test + !images)};
  for (auto word = words.begin(); word != ending - 2; ++word) name.set += (name.set.empty() ? "" : " ") + *word;
  return name;
}

using Paths = std::array<fs::path, 4>;

bool complete(const Paths& paths) {
  return std::none_of(paths.begin(), paths.end(), [](const fs::path& path) { return path.empty(); });
}

// The files in a folder, for each data set; the plain ones before the packed.
std::map<std::string, Paths> find_in(const fs::path& folder) {
  std::map<std::string, Paths> found;
  std::error_code unreadable;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (fs::path path : paths) {
    const std::optional<Name> name = parse(path.filename().string());
    if (!name) continue;
    if (fs::is_directory(path, unreadable)) path /= path.filename();
    if (!fs::exists(path, unreadable) || fs::is_directory(path, unreadable)) continue;
    fs::path& place = found[name->set][name->which];
    if (place.empty()) place = path;
  }
  return found;
}

// The four files, or some of them.
std::optional<Paths> find_files_of(const fs::path& dir) {
  std::vector<std::vector<fs::path>> levels{{dir}, {dir / "raw"}, {}};
  for (const char* set : {"MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST"})
    levels.back().push_back(dir / set / "raw");
  std::optional<Paths> some;
  for (const auto& folders : levels) {
    std::vector<std::string> sets;
    for (const fs::path& folder : folders)
      for (auto& [set, paths] : find_in(folder)) {
        if (complete(paths)) sets.push_back(set.empty() ? folder.string() : set);
        if (!some || !complete(*some)) some = std::move(paths);
      }
    check(sets.size() <= 1, "idx_data", dir, " holds several data sets, expected one: ", listed(sets));
    if (!sets.empty()) return some;
  }
  return some;
}

// What the folder is called, in small letters: "mnist" for MNIST/raw.
std::string called(const fs::path& file) {
  fs::path folder = fs::absolute(file).parent_path();
  if (parse(folder.filename().string())) folder = folder.parent_path();
  if (folder.filename() == "raw") folder = folder.parent_path();
  std::string all;
  for (const std::string& word : words_of(folder.filename().string())) all += word;
  return all;
}

int largest(const IdxArray& labels) { return *std::max_element(labels.bytes.begin(), labels.bytes.end()); }

}  // namespace

std::optional<TrainAndTest> idx_data(const fs::path& dir) {
  const std::optional<Paths> paths = find_files_of(dir);
  if (!paths) return {};
  std::vector<std::string> missing;
  const char* const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                               "t10k-labels-idx1-ubyte"};
  fs::path there;
  for (std::size_t i = 0; i < 4; ++i)
    if ((*paths)[i].empty())
      missing.push_back(names[i]);
    else
      there = (*paths)[i];
  check(missing.empty(), "idx_data", there, " is one of four files that make a data set, but there is no ",
        listed(missing), " beside it, under any of its names");

  IdxFiles files;
  for (std::size_t i = 0; i < 4; ++i) files[i] = read_idx((*paths)[i]);
  const std::string name = called(there);
  if (any_is_fashion_mnist(files) || name.find("fashion") != name.npos) return make_fashion_mnist(std::move(files));

  std::vector<std::string> class_names;
  std::string title = dir.string();
  for (const auto& [known, as] :
       {std::pair{"kmnist", "KMNIST"}, {"emnist", "EMNIST"}, {"qmnist", "QMNIST"}, {"mnist", "MNIST"}})
    if (name == known) title = as;
  int classes = std::max(largest(files[1]), largest(files[3])) + 1;
  if (title == "KMNIST" && classes <= 10) {
    class_names = {"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"};
  } else {
    if (title == "MNIST") classes = std::max(classes, 10);
    for (int c = 0; c < classes; ++c) class_names.push_back(std::to_string(c));
  }
  TrainAndTest data{.train = make_image_dataset(std::move(files[0]), files[1], class_names),
                    .test = make_image_dataset(std::move(files[2]), files[3], class_names),
                    .name = title};
  const ImageDataset &train = data.train, &test = data.test;
  const auto size = [](const ImageDataset& part) { return Shape{part.channels, part.height, part.width}; };
  check(size(train) == size(test), "idx_data", (*paths)[0], " has images of the shape ", size(train), ", but ",
        (*paths)[2], " of ", size(test));
  if (title != "MNIST" && title != "KMNIST")
    data.train.notes = data.test.notes = {"classes: numbers from 0 to " + std::to_string(classes - 1) +
                                          ", for the files do not say what they are"};
  return data;
}

}  // namespace bobbin
