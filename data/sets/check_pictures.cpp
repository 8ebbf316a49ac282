#include "data/sets/check_pictures.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "data/images/codec.h"
#include "tensor/check.h"
#include "tensor/comm.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

// Why look(i) throws, for each i below count; "" where it does not. Several ranks share them, and all look again at
// those for which one has found a reason.
std::vector<std::string> reasons(Index count, const std::function<void(Index)>& look) {
  std::vector<std::string> all(static_cast<std::size_t>(count));
  const auto look_at = [&](const auto& is_wanted) {
#pragma omp parallel for schedule(dynamic, 4)
    for (Index i = 0; i < count; ++i) try {
        if (is_wanted(i)) look(i);
      } catch (const std::exception& error) {
        const std::string text = error.what();
        const std::size_t op = text.find("] ");
        all[static_cast<std::size_t>(i)] = op == std::string::npos ? text : text.substr(op + 2);
      }
  };
  const Index rank = comm::rank(), ranks = comm::size();
  look_at([&](Index i) { return i % ranks == rank; });
  if (ranks == 1) return all;
  std::vector<double> bad;
  for (const std::string& reason : all) bad.push_back(!reason.empty());
  bad = comm::sum_of_all_ranks(std::move(bad));
  look_at([&](Index i) { return bad[static_cast<std::size_t>(i)] > 0; });
  for (std::size_t i = 0; i < all.size(); ++i)
    if (bad[i] > 0 && all[i].empty()) all[i] = "could not be read by another rank";
  return all;
}

std::string counted(std::size_t count) { return with_commas(static_cast<Index>(count)); }

// Leaves out the pictures for which there is a reason.
void leave_out(ImageDataset& data, const std::vector<std::string>& why) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < why.size(); ++i) {
    if (!why[i].empty()) continue;
    data.files[kept] = std::move(data.files[i]);
    data.labels[kept++] = data.labels[i];
  }
  data.files.resize(kept);
  data.labels.resize(kept);
}

void check_pictures(const std::vector<ImageDataset*>& parts, bool skip_bad) {
  std::vector<BadPicture> bad;
  std::size_t of = 0;
  for (ImageDataset* data : parts) {
    const std::size_t own = data->files.size();
    std::size_t of_rank_0 = own;
    comm::broadcast(&of_rank_0, sizeof of_rank_0);
    check(own == of_rank_0, "ranks", "rank ", comm::rank(), " has ", own, " pictures in files, rank 0 ", of_rank_0,
          ": all ranks need the same data");
    if (data->files.empty()) continue;
    const auto look = [&](Index i) {
      skip_bad ? void(fit(data->image(i), data->preprocess)) : check_picture(data->files[static_cast<std::size_t>(i)]);
    };
    const std::vector<std::string> why = reasons(data->count(), look);
    of += why.size();
    for (std::size_t i = 0; i < why.size(); ++i)
      if (!why[i].empty()) bad.push_back({data->files[i], why[i]});
    if (!skip_bad) continue;
    leave_out(*data, why);
    check(data->count() > 0, "check_pictures", "none of the ", why.size(), " pictures of ", data->num_classes(),
          " classes can be read, such as ", why.empty() ? "" : why.front());
  }
  if (bad.empty()) return;
  const char* const what_to_do =
      bad.size() == 1 ? "mend it, or leave it out with --skip-bad" : "mend them, or leave them out with --skip-bad";
  check(skip_bad, "check_pictures", describe(bad, of, what_to_do));
  std::string note = "left out: " + counted(bad.size()) + " of " + counted(of) + " pictures, which cannot be read: ";
  for (std::size_t i = 0; i < std::min<std::size_t>(bad.size(), 10); ++i)
    note += (i > 0 ? ", " : "") + (bad[i].file.parent_path().filename() / bad[i].file.filename()).string();
  if (bad.size() > 10) note += " and " + counted(bad.size() - 10) + " more";
  for (ImageDataset* data : parts) data->notes.push_back(note);
}

}  // namespace

std::vector<BadPicture> find_bad_pictures(const std::vector<fs::path>& files) {
  const std::vector<std::string> why =
      reasons(static_cast<Index>(files.size()), [&](Index i) { check_picture(files[static_cast<std::size_t>(i)]); });
  std::vector<BadPicture> bad;
  for (std::size_t i = 0; i < files.size(); ++i)
    if (!why[i].empty()) bad.push_back({files[i], why[i]});
  return bad;
}

std::string describe(const std::vector<BadPicture>& bad, std::size_t of, const std::string& what_to_do) {
  constexpr std::size_t most = 20;
  const std::string then = what_to_do.empty() ? "" : "; " + what_to_do;
  if (bad.size() == 1) return bad[0].reason + then;
  std::string text = counted(bad.size()) + " of " + counted(of) + " pictures cannot be read" + then + ":";
  for (std::size_t i = 0; i < std::min(bad.size(), most); ++i) text += "\n  " + bad[i].reason;
  if (bad.size() > most) text += "\n  and " + counted(bad.size() - most) + " more";
  return text;
}

void check_pictures(ImageDataset& data, bool skip_bad) { check_pictures(std::vector<ImageDataset*>{&data}, skip_bad); }

void check_pictures(TrainAndTest& data, bool skip_bad, ImageDataset* third) {
  std::vector<ImageDataset*> parts{&data.train, &data.test};
  if (third) parts.push_back(third);
  check_pictures(parts, skip_bad);
  std::vector<bool> there(data.train.class_names.size());
  for (const int label : data.train.labels) there[static_cast<std::size_t>(label)] = true;
  for (std::size_t c = 0; c < there.size(); ++c)
    check(there[c] || !skip_bad, "check_pictures", "no picture of the class ", Quoted{data.train.class_names[c]},
          " is left to train on");
}

}  // namespace bobbin
