// The command line of `furrow prepare fetch`.
#pragma once

#include "apps/verbs.h"

namespace furrow::apps {

void add_fetch(CLI::App& prepare, Program& program);

}  // namespace furrow::apps
