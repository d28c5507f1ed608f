// The tries that bring a file's bytes: what is asked of the server, and what its answers are worth.
#pragma once

#include <string>

#include "apps/fetch.h"
#include "apps/manifest.h"

namespace furrow::apps {

// Leaves the whole of known.origin in `part`, size and hash not yet checked: goes on from the bytes in it where they
// may be the beginning of what the server has, answers Google Drive's confirmation page, tries again what may pass.
// `lock`: a descriptor that curl keeps open while it runs. Beside `part` it keeps part.head (the header lines) and, for
// a moment, part.again and part.page. Errors: ErrorCode::io, ErrorCode::limit; a signal: Interrupted.
void transfer(const PublishedFile& known, const std::string& part, const DownloadOptions& options, int lock);

}  // namespace furrow::apps
