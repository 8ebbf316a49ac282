#include "optim/log/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "data/drawing/page.h"
#include "data/drawing/xml.h"
#include "data/files/json.h"
#include "data/files/read_file.h"
#include "optim/log/report_script.h"
#include "optim/training/run_folder.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

using Json = nlohmann::ordered_json;

// JSON has neither NaN nor infinity.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

// The steps of a whole epoch; 0 where nobody knows yet.
Index steps_per_epoch(const Report& run) {
  return run.steps_per_epoch > 0 || run.epochs.empty() ? run.steps_per_epoch : run.epochs.front().step;
}

// Whether the epoch is no last one that was cut, by --max-steps.
bool is_whole(const EpochMetrics& e, const Report& run) {
  const EpochMetrics& last = run.epochs.back();
  const Index before = run.epochs.size() > 1 ? run.epochs[run.epochs.size() - 2].step : 0;
  return e.epoch != last.epoch || last.step - before >= steps_per_epoch(run);
}

// The losses of the steps as at most 300 means, each over as many steps: [epoch, loss].
Json step_losses(const Report& run) {
  const std::size_t count = run.losses.size(), each = (count + 299) / 300;
  const Index usual = steps_per_epoch(run);
  // After so many steps, as a number of epochs. Epochs may differ, if the data have changed in between.
  const auto epoch_at = [&](double step) {
    double before = 0, done = 0;
    for (const EpochMetrics& e : run.epochs) {
      const auto end = static_cast<double>(e.step);
      const double length = is_whole(e, run) ? end - before : static_cast<double>(usual);
      if (step <= end) return done + (step - before) / length;
      before = end, done = e.epoch;
    }
    return done + (step - before) / static_cast<double>(usual);
  };
  Json points = Json::array();
  for (std::size_t begin = 0; begin < count && usual > 0; begin += each) {
    const std::size_t end = std::min(begin + each, count);
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += run.losses[i];
    points.push_back({epoch_at(static_cast<double>(begin + end) / 2), number(sum / static_cast<double>(end - begin))});
  }
  return points;
}

Json curves_of(const Report& run) {
  Json epochs = Json::array(), values = Json::object();
  for (const EpochMetrics& e : run.epochs) {
    epochs.push_back(e.epoch);
    values["train_loss"].push_back(number(e.train_loss));
    for (const auto& [name, value] : e.metrics) values[name].push_back(number(value));
    values["lr"].push_back(number(e.lr));
  }
  return {{"name", run.name}, {"epochs", epochs}, {"values", values}, {"steps", step_losses(run)}};
}

// The best epoch by val_acc, or else by val_loss, of the averaged weights if there are any, as Trainer chooses.
const EpochMetrics* best_epoch(const Report& run) {
  const std::vector<EpochMetrics>& epochs = run.epochs;
  const auto end = epochs.end() - (!epochs.empty() && !is_whole(epochs.back(), run));
  if (end == epochs.begin()) return nullptr;
  for (const char* name : {"val_acc_ema", "val_acc", "val_loss_ema", "val_loss"}) {
    if (!epochs[0].find(name)) continue;
    const double sign = std::string(name).find("acc") != std::string::npos ? 1 : -1;
    const auto score = [&](const EpochMetrics& e) {
      const double value = sign * e[name];
      return std::isnan(value) ? -HUGE_VAL : value;
    };
    return &*std::max_element(epochs.begin(), end, [&](const auto& a, const auto& b) { return score(a) < score(b); });
  }
  return nullptr;
}

std::string metrics_text(const EpochMetrics& e) {
  std::string text;
  for (const auto& [name, value] : e.metrics)
    text += (text.empty() ? "" : ", ") + xml_text(name) + format(" %.4f", value);
  return text;
}

std::string long_time(double s) {
  return s < 90     ? format("%.0f seconds", s)
         : s < 5400 ? format("%.0f minutes", s / 60)
                    : format("%.1f hours", s / 3600);
}

double seconds_of(const Report& run) {
  double sum = 0;
  for (const EpochMetrics& e : run.epochs) sum += e.seconds;
  return sum;
}

// config.json, if it is one.
std::optional<nlohmann::json> config_of(const Report& run) {
  try {
    nlohmann::json config = parse_json(run.config, "config.json");
    if (config.is_object()) return config;
  } catch (const Error&) {  // written by others, or edited
  }
  return {};
}

// From where build/train can go on with a run of its own.
std::string how_to_resume(const Report& run) {
  const std::optional<nlohmann::json> config = config_of(run);
  if (run.saved_steps < 0 || !config || config->value("program", nlohmann::json()) != "train") return "";
  return " <code>build/train --resume " + xml_text(shell_word(run.name)) + "</code> goes on from " +
         (run.saved_steps == static_cast<Index>(run.losses.size())
              ? "there."
              : "the checkpoint after step " + with_commas(run.saved_steps) + ".");
}

std::string status(const Report& run) {
  const std::string steps = with_commas(static_cast<Index>(run.losses.size())), all = with_commas(run.all_steps);
  switch (run.state) {
    case RunState::training:
      return "Training: epoch " +
             std::to_string(std::min(static_cast<int>(run.epochs.size()) + 1, std::max(run.all_epochs, 1))) + " of " +
             std::to_string(run.all_epochs) + ", step " + steps + " of " + all + ", <span id=\"left\">about " +
             long_time(run.seconds_left) + " left</span>.";
    case RunState::stopped:
      return "Stopped after step " + steps + " of " + all + "." + how_to_resume(run);
    case RunState::failed:
      return "Ended by an error after step " + steps + " of " + all + "; the terminal says which." + how_to_resume(run);
    case RunState::ended:
      break;
  }
  return "Ended after " + std::to_string(run.epochs.size()) + (run.epochs.size() == 1 ? " epoch" : " epochs") +
         (run.losses.empty() ? "" : " and " + steps + " steps") + ", which took " + long_time(seconds_of(run)) + ".";
}

std::string utc(std::int64_t time, const char* pattern) {
  const auto t = static_cast<std::time_t>(time);
  std::tm parts{};
  gmtime_r(&t, &parts);
  char text[64] = "";
  std::strftime(text, sizeof text, pattern, &parts);
  return text;
}

std::string header(const Report& run) {
  const bool training = run.state == RunState::training;
  std::string text = "<p id=\"status\">" + status(run) + "</p>\n";
  if (training)
    text += "<progress aria-label=\"steps done\" max=\"" + std::to_string(std::max<Index>(run.all_steps, 1)) +
            "\" value=\"" + std::to_string(run.losses.size()) + "\"></progress>\n";
  if (const EpochMetrics* best = best_epoch(run))
    text += "<p>Best epoch: " + std::to_string(best->epoch) + ", " + metrics_text(*best) + ".</p>\n";
  text += "<p class=\"faint\">Written <time id=\"written\" datetime=\"" + utc(run.written, "%Y-%m-%dT%H:%M:%SZ") +
          "\">" + utc(run.written, "%Y-%m-%d %H:%M:%S UTC") + "</time>.";
  if (training) text += " <button type=\"button\" id=\"pause\" aria-pressed=\"false\">Pause reloading</button>";
  return text + "</p>\n";
}

constexpr const char* curves_section =
    "<section>\n<h2>Curves</h2>\n<noscript><p>Without script the numbers are in the table below.</p></noscript>\n"
    "<div id=\"runs\"></div>\n<p id=\"cursor\" hidden><label for=\"slider\">Epoch <output id=\"epoch\"></output> "
    "<input id=\"slider\" type=\"range\" min=\"1\" step=\"1\"></label></p>\n<div id=\"charts\"></div>\n</section>\n";

std::string cell(double value) { return "<td>" + format("%.4f", value) + "</td>"; }

std::string epochs_table(const Report& run) {
  if (run.epochs.empty()) return "<p>No epoch is finished.</p>\n";
  std::string text =
      "<details id=\"table\">\n<summary>All epochs as a table</summary>\n<div class=\"wide\" tabindex=\"0\" "
      "role=\"region\" aria-label=\"all epochs\">\n<table>\n<thead><tr>";
  for (const char* name : {"epoch", "train_loss"}) text += format("<th scope=\"col\">%s</th>", name);
  for (const std::string& name : names_of(run.epochs[0].metrics))
    text += "<th scope=\"col\">" + xml_text(name) + "</th>";
  for (const char* name : {"lr", "per second", "seconds"}) text += format("<th scope=\"col\">%s</th>", name);
  text += "</tr></thead>\n<tbody>\n";
  for (const EpochMetrics& e : run.epochs) {
    text += format("<tr><th scope=\"row\">%d</th>", e.epoch) + cell(e.train_loss);
    for (const auto& [name, value] : e.metrics) text += cell(value);
    text += format("<td>%.4g</td><td>%.1f</td><td>%.1f</td></tr>\n", e.lr, e.img_per_s, e.seconds);
  }
  return text + "</tbody>\n</table>\n</div>\n</details>\n";
}

std::string value_text(const nlohmann::json& value) {
  return xml_text(value.is_string() ? value.get<std::string>() : to_text(Json(value)));
}

std::string rows(const nlohmann::json& object) {
  std::string text =
      "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"settings\">\n<table class=\"text\">\n";
  for (const auto& [key, value] : object.items())
    text += "<tr><th scope=\"row\">" + xml_text(key) + "</th><td>" + value_text(value) + "</td></tr>\n";
  return text + "</table>\n</div>\n";
}

std::string what_ran(const Report& run) {
  const std::optional<nlohmann::json> config = config_of(run);
  if (!config) return "";
  nlohmann::json machine = nlohmann::json::object();
  std::string text = "<section>\n<h2>What ran</h2>\n", details;
  for (const auto& [key, value] : config->items())
    if (!value.is_object())
      machine[key] = value;
    else if (!value.empty())
      details += "<details id=\"config-" + xml_text(key) + "\">\n<summary>" + xml_text(key) + "</summary>\n" +
                 rows(value) + "</details>\n";
  return text + (machine.empty() ? "" : rows(machine)) + details + "</section>\n";
}

// The flags that are not the same in all runs.
std::string differences(const std::vector<Report>& runs) {
  std::vector<nlohmann::json> flags;
  std::set<std::string> names;
  for (const Report& run : runs) {
    const std::optional<nlohmann::json> config = config_of(run);
    flags.push_back(config && config->contains("flags") && config->at("flags").is_object() ? config->at("flags")
                                                                                           : nlohmann::json::object());
    for (const auto& flag : flags.back().items()) names.insert(flag.key());
  }
  std::string text;
  for (const std::string& name : names) {
    const auto of = [&](const nlohmann::json& all) { return all.value(name, nlohmann::json()); };
    if (std::all_of(flags.begin(), flags.end(), [&](const auto& all) { return of(all) == of(flags[0]); })) continue;
    text += "<tr><th scope=\"row\">" + xml_text(name) + "</th>";
    for (const nlohmann::json& all : flags)
      text += "<td>" + (all.contains(name) ? value_text(all[name]) : "") + "</td>";
    text += "</tr>\n";
  }
  if (text.empty()) return "";
  std::string head =
      "<section>\n<h2>Where their flags differ</h2>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"flags that differ\">\n<table class=\"text\">\n<thead><tr><th scope=\"col\">flag</th>";
  for (const Report& run : runs) head += "<th scope=\"col\">" + xml_text(run.name) + "</th>";
  return head + "</tr></thead>\n<tbody>\n" + text + "</tbody>\n</table>\n</div>\n</section>\n";
}

std::string results_table(const std::vector<Report>& runs) {
  std::string text =
      "<section>\n<h2>Best epochs</h2>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"best "
      "epochs\">\n<table class=\"text\">\n<thead><tr><th scope=\"col\">run</th><th scope=\"col\">epoch</th>"
      "<th scope=\"col\">its metrics</th><th scope=\"col\">time</th></tr></thead>\n<tbody>\n";
  for (const Report& run : runs) {
    const EpochMetrics* const best = best_epoch(run);
    text += "<tr><th scope=\"row\">" + xml_text(run.name) + "</th><td>" +
            (best ? std::to_string(best->epoch) : std::string()) + format(" of %zu", run.epochs.size()) + "</td><td>" +
            (best ? metrics_text(*best) : std::string()) + "</td><td>" + long_time(seconds_of(run)) + "</td></tr>\n";
  }
  return text + "</tbody>\n</table>\n</div>\n</section>\n";
}

std::string page_data(const std::vector<Report>& runs) {
  Json data{{"runs", Json::array()},
            {"training", runs.size() == 1 && runs[0].state == RunState::training},
            {"written", runs[0].written},
            {"left", number(runs[0].seconds_left)},
            {"overdue", number(runs[0].overdue)}};
  for (const Report& run : runs) data["runs"].push_back(curves_of(run));
  return to_text(data);
}

std::string text_of(const std::filesystem::path& file) {
  std::error_code absent;
  if (!std::filesystem::exists(file, absent)) return "";
  const std::vector<std::uint8_t> bytes = read_file("report", file, std::uintmax_t{1} << 30);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::string report_html(const Report& run) {
  const bool training = run.state == RunState::training;
  return html({.title = run.name,
               .body = header(run) + curves_section + epochs_table(run) + run.more + what_ran(run),
               .data = page_data({run}),
               .script = report_script,
               .head = training ? "<noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>\n" : ""});
}

std::string comparison_html(const std::vector<Report>& runs) {
  check(!runs.empty(), "comparison_html", "there is no run to draw");
  return html({.title = format("%zu runs side by side", runs.size()),
               .body = curves_section + results_table(runs) + differences(runs),
               .data = page_data(runs),
               .script = report_script});
}

std::string read_config(const RunFolder& folder) { return text_of(folder.config()); }

Report read_report(const std::string& name, const RunFolder& folder) {
  Report run{.name = name, .epochs = read_metrics(folder.metrics()), .config = read_config(folder)};
  for (const std::string& line : lines_of(text_of(folder.losses()))) {
    long long step = 0;
    double loss = 0;
    if (std::sscanf(line.c_str(), "%lld,%lf", &step, &loss) == 2) run.losses.push_back(loss);
  }
  run.written = std::time(nullptr);
  return run;
}

}  // namespace bobbin
