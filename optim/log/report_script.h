#pragma once

namespace bobbin {

/// What the pages of report.h do: they draw the curves of data.runs, show their values at an epoch, and load
/// themselves anew while data.training is true.
extern const char* const report_script;

}  // namespace bobbin
