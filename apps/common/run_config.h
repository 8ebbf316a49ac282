#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "data/sets/dataset.h"

/// config.json: what it takes to repeat a run.
namespace bobbin {

/// The text of config.json: the flags, the model (`description` is what describe_model() says of it), checksums of the
/// data, commit, compiler, BLAS, processor and threads.
std::string describe_run(const nlohmann::json& flags, const std::string& description, const TrainAndTest& data);

/// Throws Error unless the run whose config.json was `before` had the data of the run with `now`: going on would be
/// another run.
void check_same_data(const std::string& before, const std::string& now);

}  // namespace bobbin
