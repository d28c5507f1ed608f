// report.html: one page that holds everything, asks for nothing from elsewhere and runs no script.
#pragma once

#include <string>

#include "apps/evaluate/record.h"
#include "apps/evaluate/summary.h"

namespace furrow::apps {

std::string report_html(const Record& record, const Summary& summary);

}  // namespace furrow::apps
