#include "apps/common/finish_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <tuple>
#include <vector>

#include "apps/common/model_pictures.h"
#include "data/drawing/page.h"
#include "data/drawing/xml.h"
#include "data/files/write_file.h"
#include "optim/log/report.h"
#include "tensor/check.h"
#include "tensor/comm.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

constexpr Index most_in_matrix = 40, longest_side = 64;
constexpr std::size_t most_mistakes = 24, most_pairs = 5;

std::string number(double value) { return std::isnan(value) ? "–" : format("%.3f", value); }

std::string scrolling(const std::string& label, const std::string& table) {
  return "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"" + label + "\">\n" + table + "</div>\n";
}

// A cell the darker, the larger the share.
std::string cell(const std::string& text, double share) {
  return std::isnan(share) ? "<td>" + text + "</td>" : format("<td style=\"--s:%.2f\">", share) + text + "</td>";
}

std::string class_table(const ConfusionMatrix& m, const std::vector<std::string>& names) {
  std::string text =
      "<table>\n<thead><tr><th scope=\"col\">class</th><th scope=\"col\">images</th><th scope=\"col\">precision</th>"
      "<th scope=\"col\">recall</th><th scope=\"col\">F1</th></tr></thead>\n<tbody>\n";
  for (Index c = 0; c < m.num_classes(); ++c) {
    text += "<tr><th scope=\"row\">" + xml_text(names[static_cast<std::size_t>(c)]) + "</th><td>" +
            with_commas(m.of(c)) + "</td>";
    for (const double value : {m.precision(c), m.recall(c), m.f1(c)}) text += cell(number(value), value);
    text += "</tr>\n";
  }
  return text + "</tbody>\n</table>\n";
}

std::string matrix_table(const ConfusionMatrix& m, const std::vector<std::string>& names) {
  std::string text =
      "<table>\n<caption>Rows: what it is. Columns: what it was taken for, by the numbers of the rows.</caption>\n"
      "<thead><tr><th scope=\"col\">class</th>";
  const auto name = [&](Index c) { return xml_text(names[static_cast<std::size_t>(c)]); };
  for (Index c = 0; c < m.num_classes(); ++c)
    text += "<th scope=\"col\"><abbr title=\"" + name(c) + "\">" + std::to_string(c) + "</abbr></th>";
  text += "</tr></thead>\n<tbody>\n";
  for (Index t = 0; t < m.num_classes(); ++t) {
    text += "<tr><th scope=\"row\">" + std::to_string(t) + " " + name(t) + "</th>";
    for (const Index count : m.counts()[static_cast<std::size_t>(t)])
      text +=
          cell(std::to_string(count), m.of(t) > 0 ? static_cast<double>(count) / static_cast<double>(m.of(t)) : NAN);
    text += "</tr>\n";
  }
  return text + "</tbody>\n</table>\n";
}

// The classes that are taken for one another most often.
std::string pairs_list(const ConfusionMatrix& m, const std::vector<std::string>& names) {
  std::vector<std::tuple<Index, std::size_t, std::size_t>> pairs;
  for (std::size_t t = 0; t < names.size(); ++t)
    for (std::size_t p = 0; p < names.size(); ++p)
      if (t != p && m.counts()[t][p] > 0) pairs.emplace_back(m.counts()[t][p], t, p);
  const auto end = pairs.begin() + static_cast<std::ptrdiff_t>(std::min(pairs.size(), most_pairs));
  std::partial_sort(pairs.begin(), end, pairs.end(), std::greater<>());
  std::string text = "<ul>\n";
  for (auto pair = pairs.begin(); pair != end; ++pair) {
    const auto [count, t, p] = *pair;
    text += "<li>" + xml_text(names[t]) + ", taken for " + xml_text(names[p]) + ": " + with_commas(count) + "</li>\n";
  }
  return pairs.empty() ? "<p>No image was taken for another class.</p>\n" : text + "</ul>\n";
}

std::string mistakes_html(const std::vector<Mistake>& mistakes, const ImageDataset& data) {
  if (mistakes.empty()) return "";
  std::string text = "<h3>The worst mistakes</h3>\n<div class=\"pictures\">\n";
  for (std::size_t i = 0; i < std::min(mistakes.size(), most_mistakes); ++i) {
    const Mistake& m = mistakes[i];
    const std::string is = data.class_names[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(m.image)])],
                      taken = data.class_names[static_cast<std::size_t>(m.predicted)];
    text += "<figure>" + html_picture(thumbnail(data.image(m.image), longest_side), "image of " + is) + "<figcaption>" +
            xml_text(is) + ", taken for " + xml_text(taken) + format(", %.0f%%", 100 * m.probability) +
            "</figcaption></figure>\n";
  }
  return text + "</div>\n";
}

std::string picture_html(const std::optional<Image>& picture, const std::string& title, const std::string& text) {
  if (!picture) return "";
  const Index scale = std::max<Index>(1, 480 / picture->width);
  return "<h3>" + title + "</h3>\n<figure>" +
         html_picture(*picture, text,
                      format("width:%lldpx;height:auto", static_cast<long long>(picture->width * scale))) +
         "<figcaption>" + text + "</figcaption></figure>\n";
}

std::string learned_html(AnyModel& model) {
  const std::string pictures =
      picture_html(first_filters(model), "Filters of the first layer",
                   "The filters with the largest weights, these first. Grey is 0.") +
      picture_html(
          position_similarity(model), "Position embeddings",
          "For each patch, in its place, a map of how alike its position is to that of each patch: the cosine, "
          "from -1, black, to 1, light yellow.");
  return pictures.empty() ? "" : "<section>\n<h2>What it learned</h2>\n" + pictures + "</section>\n";
}

}  // namespace

std::string judgement_html(const Judgement& judgement, const ImageDataset& data, const std::string& title) {
  const ConfusionMatrix& m = judgement.confusion;
  std::string text = "<section>\n<h2>" + xml_text(title) + "</h2>\n<p>" + with_commas(m.total()) +
                     " images: accuracy " + number(judgement.means.accuracy) + ", balanced accuracy " +
                     number(m.balanced_accuracy()) + ", macro F1 " + number(m.macro_f1()) + ", loss " +
                     number(judgement.means.loss) + ".</p>\n";
  text += scrolling("classes", class_table(m, data.class_names)) + "<h3>What is taken for what</h3>\n" +
          pairs_list(m, data.class_names);
  if (m.num_classes() <= most_in_matrix) text += scrolling("confusion matrix", matrix_table(m, data.class_names));
  return text + mistakes_html(judgement.mistakes, data) + "</section>\n";
}

void finish_report(AnyModel& model, const ImageDataset& data, Index batch_size, const RunFolder& folder) {
  bool wait_for_this = comm::size() > 1;
  try {
    const Judgement judgement = judge(model, data, batch_size);
    wait_for_this = false;
    if (comm::rank() > 0) return;
    Report run = read_report(folder.path().string(), folder);
    run.more = judgement_html(judgement, data, "What the model of the last epoch makes of the images to validate") +
               learned_html(model);
    write_file(folder.report(), report_html(run));
  } catch (const std::exception& error) {  // the run has ended, and is saved
    if (wait_for_this) throw;
    std::fprintf(stderr, "%s; so report.html does not say what the model makes of the images\n", error.what());
  }
}

}  // namespace bobbin
