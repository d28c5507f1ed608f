// The table of keys; used by train/options.cc alone.
#pragma once

#include "io/config_schema.h"
#include "train/options.h"

namespace furrow::train {

// Rows bound to `options`, which must outlive the schema.
io::ConfigSchema train_schema(TrainOptions& options);

// What no single row can see: fields that contradict each other. `entries` give the places.
void check_together(const TrainOptions& options, const std::vector<io::ConfigEntry>& entries,
                    io::ConfigProblems& problems);

}  // namespace furrow::train
