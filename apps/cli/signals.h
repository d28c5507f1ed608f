// Ctrl-C and termination: the first signal asks the work to end after the photo in hand, the second ends the process.
#pragma once

namespace furrow::cli {

// Installs the handlers for SIGINT and SIGTERM; SIGPIPE is ignored (a closed pipe is then an ordinary write error).
void catch_signals();

// 0, or the exit status owed: 130 after SIGINT, 143 after SIGTERM.
int interrupted();

}  // namespace furrow::cli
