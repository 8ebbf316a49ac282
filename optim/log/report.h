// The page of a run, and the page of several side by side.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "optim/log/metrics.h"

namespace bobbin {

class RunFolder;

/// What has become of a run: it goes on, has done all its steps, was ended before, or met an error.
enum class RunState { training, ended, stopped, failed };

/// What is known of a run.
struct Report {
  std::string name;
  std::vector<EpochMetrics> epochs{};
  std::vector<double> losses{};  ///< of every step
  std::string config{};          ///< the text of config.json; if it is not JSON, it is left out
  RunState state = RunState::ended;
  int all_epochs = 0;         ///< that it is to have; as all_steps, of no meaning once it has ended
  Index all_steps = 0;        ///< the same of steps
  Index steps_per_epoch = 0;  ///< of a whole one, as it trains now; 0: as the first that is done
  Index saved_steps = -1;     ///< those of its newest checkpoint, from which it can go on; -1: there is none
  double seconds_left = 0;    ///< while it is training
  double overdue = 0;         ///< seconds after which no new page means that nobody trains any more
  std::int64_t written = 0;   ///< seconds since 1970
  std::string more{};         ///< HTML of further sections: what the model came to
};

/// report.html: the curves, with their values under the cursor; what ran, and where; how far it is, and how long it
/// will take. While it is training, the page loads itself anew.
std::string report_html(const Report& run);

/// The same curves of several runs, with what is different in their flags.
std::string comparison_html(const std::vector<Report>& runs);

/// The text of its config.json; "" if there is none.
std::string read_config(const RunFolder& folder);

/// A run by its metrics.csv and, where they are, losses.csv and config.json beside it. Throws Error if metrics.csv
/// cannot be read.
Report read_report(const std::string& name, const RunFolder& folder);

}  // namespace bobbin
