#include "optim/log/metrics.h"

#include <array>
#include <charconv>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <system_error>

#include "data/files/read_file.h"
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
  const std::vector<std::uint8_t> bytes = read_file("read_metrics", path, std::uintmax_t{1} << 28);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<EpochMetrics> epochs;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    check(number > 1 || line == columns, "read_metrics", path, " is not a metrics.csv: it begins with \"",
          line.substr(0, 40), "\", expected the line ", columns);
    check(end != std::string_view::npos, "read_metrics", "line ", number, " of ", path, " is not whole: it has no end");
    rest.remove_prefix(end + 1);
    if (number == 1) continue;
    const EpochMetrics e = parse(path, number, line), before = epochs.empty() ? EpochMetrics{} : epochs.back();
    check(e.epoch > before.epoch && e.step > before.step, "read_metrics", "line ", number, " of ", path, " has epoch ",
          e.epoch, " and step ", e.step, " after epoch ", before.epoch, " and step ", before.step,
          ", expected both to rise");
    epochs.push_back(e);
  }
  return epochs;
}

Curves curves(const std::string& name, const std::vector<EpochMetrics>& epochs) {
  Curves run{.name = name};
  for (const EpochMetrics& e : epochs) {
    run.train_loss.emplace_back(e.epoch - 0.5, e.train_loss);
    run.val_loss.emplace_back(e.epoch, e.val_loss);
    run.val_acc.emplace_back(e.epoch, e.val_acc);
  }
  return run;
}

}  // namespace bobbin
