#include "optim/log/metrics.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cinttypes>
#include <cstdint>
#include <set>
#include <system_error>

#include "data/files/read_file.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

// The columns of metrics.csv before those of the metrics, and after.
constexpr std::string_view first_columns = "epoch,step,train_loss", last_columns = ",lr,img_per_s,seconds";

std::string columns(const std::vector<std::string>& names) {
  std::string text(first_columns);
  for (const std::string& name : names) text += "," + name;
  return text.append(last_columns);
}

// Cuts the first field off, at a comma; nothing is left after the last one.
std::string_view next(std::string_view& fields) {
  const std::size_t comma = fields.find(',');
  const std::string_view field = fields.substr(0, comma);
  fields = comma == std::string_view::npos ? std::string_view() : fields.substr(comma + 1);
  return field;
}

// The fields of one line, read from left to right.
class Line {
 public:
  Line(const std::filesystem::path& path, std::size_t number, std::string_view text)
      : path_(path), number_(number), rest_(text) {}

  template <class Number>
  void read(std::string_view name, Number& number) {
    const std::string_view text = next(rest_);
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, number);
    check(result.ec == std::errc() && result.ptr == end, "read_metrics", "line ", number_, " of ", path_, " has \"",
          text.substr(0, 40), "\" for ", name, ", expected a number");
  }
  bool at_end() const { return rest_.data() == nullptr; }

 private:
  const std::filesystem::path& path_;
  std::size_t number_;
  std::string_view rest_;
};

// An epoch of the line, with these metrics.
EpochMetrics parse(const std::filesystem::path& path, std::size_t number, std::string_view text, Metrics metrics) {
  Line line(path, number, text);
  EpochMetrics e{.metrics = std::move(metrics)};
  line.read("epoch", e.epoch), line.read("step", e.step), line.read("train_loss", e.train_loss);
  for (auto& [name, value] : e.metrics) line.read(name, value);
  line.read("lr", e.lr), line.read("img_per_s", e.img_per_s), line.read("seconds", e.seconds);
  check(line.at_end(), "read_metrics", "line ", number, " of ", path, " has more than the ", 6 + e.metrics.size(),
        " columns ", columns(names_of(e.metrics)));
  return e;
}

// The metrics that the header names.
Metrics parse_header(const std::filesystem::path& path, std::string_view line) {
  std::string_view names = line.substr(0, line.size() - std::min(line.size(), last_columns.size()));
  const bool is_one = line.starts_with(first_columns) && line.ends_with(last_columns) &&
                      names.size() >= first_columns.size() && (names.remove_prefix(first_columns.size()), true);
  check(is_one && next(names).empty(), "read_metrics", path, " is not a metrics.csv: it begins with \"",
        line.substr(0, 40), "\", expected the line ", columns({"val_loss", "val_acc"}),
        ", or others in place of val_loss and val_acc");
  Metrics metrics;
  while (names.data() != nullptr) metrics.emplace_back(next(names), 0);
  with_context("read_metrics", path, [&] { check_metrics(metrics); });
  return metrics;
}

}  // namespace

std::optional<double> EpochMetrics::find(std::string_view name) const {
  for (const auto& [known, value] : metrics)
    if (known == name) return value;
  return {};
}

double EpochMetrics::operator[](std::string_view name) const {
  const std::optional<double> value = find(name);
  check(value.has_value(), "EpochMetrics", "there is no metric ", Quoted{name},
        "; validation gave: ", columns(names_of(metrics)));
  return *value;
}

void check_metrics(const Metrics& metrics) {
  constexpr std::string_view marks = "_-+./@";
  std::set<std::string_view> known{"epoch", "step", "train_loss", "lr", "img_per_s", "seconds"};
  for (const auto& [name, value] : metrics) {
    const bool plain = std::all_of(name.begin(), name.end(), [&](unsigned char c) {
      return (c < 128 && std::isalnum(c)) || marks.find(static_cast<char>(c)) != marks.npos;
    });
    check(plain && !name.empty() && name.size() <= 100, "metrics", "one is called ", Quoted{name},
          "; a name has letters, digits and ", marks, " in it, up to 100");
    check(known.insert(name).second, "metrics", "two columns would be called ", name);
  }
}

std::vector<std::string> names_of(const Metrics& metrics) {
  std::vector<std::string> names;
  for (const auto& [name, value] : metrics) names.push_back(name);
  return names;
}

std::string metrics_csv(const std::vector<EpochMetrics>& epochs, const std::vector<std::string>& names) {
  std::string text = columns(epochs.empty() ? names : names_of(epochs[0].metrics)) + "\n";
  for (const EpochMetrics& e : epochs) {
    text += format("%d,%" PRId64 ",%.6f", e.epoch, e.step, e.train_loss);
    for (const auto& [name, value] : e.metrics) text += format(",%.6f", value);
    text += format(",%g,%.2f", e.lr, e.img_per_s) + format(",%.2f\n", e.seconds);
  }
  return text;
}

std::vector<EpochMetrics> read_metrics(const std::filesystem::path& path) {
  const std::vector<std::uint8_t> bytes = read_file("read_metrics", path, std::uintmax_t{1} << 28);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::vector<std::string> lines = lines_of(text);
  std::vector<EpochMetrics> epochs;
  Metrics metrics;
  for (std::size_t number = 1; number <= lines.size(); ++number) {
    const std::string_view line = lines[number - 1];
    if (number == 1) metrics = parse_header(path, line);
    check(number < lines.size() || text.ends_with('\n'), "read_metrics", "line ", number, " of ", path,
          " is not whole: it has no end");
    if (number == 1) continue;
    const EpochMetrics e = parse(path, number, line, metrics), before = epochs.empty() ? EpochMetrics{} : epochs.back();
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
    if (const auto loss = e.find("val_loss")) run.val_loss.emplace_back(e.epoch, *loss);
    if (const auto accuracy = e.find("val_acc")) run.val_acc.emplace_back(e.epoch, *accuracy);
  }
  return run;
}

}  // namespace bobbin
