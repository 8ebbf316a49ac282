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

/// Throws Error unless the run with the notes `before` had the teacher and the data of the run with `now`: going on
/// would be another run. Other data are accepted if they are told to be, but not other classes, which the model has not
/// learned.
void check_same_run(const RunNotes& before, const RunNotes& now, bool accept_changed);

/// The lines of that which are to be the same on all ranks: not what processor each has, and how it uses it.
std::string same_on_all_ranks(const std::string& config);

}  // namespace bobbin
