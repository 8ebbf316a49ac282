#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "data/sets/dataset.h"
#include "optim/training/checkpoint.h"

/// config.json: what it takes to repeat a run.
namespace bobbin {

/// The text of config.json: the flags, which of them were given, the model (`description` is what describe_model() says
/// of it), checksums of the data, and of the file of the teacher, if there is one, commit, compiler, BLAS, processor
/// and threads. Throws Error if that file cannot be read.
std::string describe_run(const nlohmann::json& flags, const std::set<std::string>& given,
                         const std::string& description, const TrainAndTest& data,
                         const std::filesystem::path& teacher = {});

/// The same text of a run that goes on after so many steps from one with the text `before`: under "resumed" it has what
/// that has, and the flags that are others now, if numbers depend on them, such as
/// {"step": 24, "changed": {"lr": [0.1, 0.01]}}.
std::string with_changes(const std::string& now, const std::string& before, Index steps);

/// Says on stderr of the config.json of such a run, a `file` whose flags are to be used, that a new run with its flags
/// has the last of them from its first step on.
void say_what_changed(const nlohmann::json& run, const std::string& file);

/// Throws Error unless the run with the notes `before` had the teacher and the data of the run with `now`: going on
/// would be another run. Other data are accepted if they are told to be, but not other classes, which the model has not
/// learned.
void check_same_run(const RunNotes& before, const RunNotes& now, bool accept_changed);

/// The lines of that which are to be the same on all ranks: not what processor each has, and how it uses it.
std::string same_on_all_ranks(const std::string& config);

}  // namespace bobbin
