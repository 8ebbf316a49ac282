#include "optim/metrics.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string_view>
#include <system_error>

#include "tensor/check.h"

namespace bobbin {
namespace {

constexpr std::string_view columns = "epoch,step,train_loss,val_loss,val_acc,lr,img_per_s,seconds";

// The fields of one line, read from left to right.
class Line {
 public:
  Line(const std::filesystem::path& path, std::size_t number, std::string_view text)
      : path_(path), number_(number), names_(columns), rest_(text) {}

  template <class Number>
  void read(Number& number) {
    const std::string_view name = next(names_), text = next(rest_);
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, number);
    check(result.ec == std::errc() && result.ptr == end, "read_metrics", "line ", number_, " of ", path_, " has \"",
          text.substr(0, 40), "\" for ", name, ", expected a number");
  }
  bool at_end() const { return rest_.data() == nullptr; }

 private:
  // Cuts the first field off; nothing is left after the last one.
  static std::string_view next(std::string_view& fields) {
    const std::size_t comma = fields.find(',');
    const std::string_view field = fields.substr(0, comma);
    fields = comma == std::string_view::npos ? std::string_view() : fields.substr(comma + 1);
    return field;
  }

  const std::filesystem::path& path_;
  std::size_t number_;
  std::string_view names_, rest_;
};

EpochMetrics parse(const std::filesystem::path& path, std::size_t number, std::string_view text) {
  Line line(path, number, text);
  EpochMetrics e;
  line.read(e.epoch), line.read(e.step);
  line.read(e.train_loss), line.read(e.val_loss), line.read(e.val_acc);
  line.read(e.lr), line.read(e.img_per_s), line.read(e.seconds);
  check(line.at_end(), "read_metrics", "line ", number, " of ", path, " has more than the 8 columns ", columns);
  return e;
}

}  // namespace

std::string metrics_csv(const std::vector<EpochMetrics>& epochs) {
  std::string text(columns);
  text += '\n';
  for (const EpochMetrics& e : epochs) {
    std::array<char, 2048> line{};  // enough for the longest numbers
    std::snprintf(line.data(), line.size(), "%d,%" PRId64 ",%.6f,%.6f,%.6f,%g,%.2f,%.2f\n", e.epoch, e.step,
                  e.train_loss, e.val_loss, e.val_acc, e.lr, e.img_per_s, e.seconds);
    text += line.data();
  }
  return text;
}

std::vector<EpochMetrics> read_metrics(const std::filesystem::path& path) {
  std::error_code ignored;
  check(!std::filesystem::is_directory(path, ignored), "read_metrics", path, " is a folder, expected a CSV file");
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  check(file.is_open(), "read_metrics", path, " cannot be opened: ", std::generic_category().message(errno));

  std::string line(columns.size() + 1, ' ');
  file.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<std::size_t>(file.gcount()));
  check(line == std::string(columns) + '\n', "read_metrics", path, " is not a metrics.csv: it begins with \"",
        line.substr(0, std::min<std::size_t>(line.find('\n'), 40)), "\", expected the line ", columns);

  std::vector<EpochMetrics> epochs;
  for (std::size_t number = 2; std::getline(file, line); ++number) {
    check(!file.eof(), "read_metrics", "line ", number, " of ", path, " is not whole: it has no end");
    const EpochMetrics e = parse(path, number, line), before = epochs.empty() ? EpochMetrics{} : epochs.back();
    check(e.epoch > before.epoch && e.step > before.step, "read_metrics", "line ", number, " of ", path, " has epoch ",
          e.epoch, " and step ", e.step, " after epoch ", before.epoch, " and step ", before.step,
          ", expected both to rise");
    epochs.push_back(e);
  }
  check(!file.bad(), "read_metrics", path, " cannot be read: ", std::generic_category().message(errno));
  return epochs;
}

}  // namespace bobbin
