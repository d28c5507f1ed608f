#include "apps/segment_decode.h"

#include <new>

#include "apps/cli/standard_input.h"
#include "kernels/trace.h"

namespace furrow::apps {
namespace {

std::optional<io::LabelMap> read_labels(const SegmentJob& job, const cli::Input& input) {
  const std::string path = labels_path(job, input);
  return path.empty() ? std::nullopt : std::optional(io::read_labels(path, job.limits));
}

}  // namespace

std::string shown(const cli::Input& input) { return input.path == "-" ? "standard input" : input.path; }

Error out_of_memory(const Work& work) {
  return Error(ErrorCode::limit, "out of memory").file(work.input->path).hint("use --tile, or a smaller picture");
}

void decode(const SegmentJob& job, const ModelInfo& model, const std::set<std::string>& inputs, Work& work) {
  try {
    work.files = output_paths(job, *work.input);
    const OutputPaths possible = possible_paths(job, *work.input);
    // Of the photo before it is read: one that changes meanwhile is another than the result's.
    work.origin = origin_of(job, *work.input, model);
    work.earlier = find_earlier(possible, work.origin);
    if (work.earlier.ours()) work.files.json = possible.json;  // a result that has a JSON keeps a true one
    work.finished = finished_before(job, *work.input, work.files, work.earlier);
    if (work.finished) return;
    refuse_overwriting(job, *work.input, work.files, work.earlier, inputs);
    const Stopwatch clock;
    with_file(shown(*work.input), [&] {
      work.picture = work.input->path == "-"
                         ? io::decode_picture(cli::read_standard_input(), job.background, job.limits)
                         : io::read_picture(work.input->path, job.background, job.limits);
      return 0;
    });
    work.labels = read_labels(job, *work.input);
    work.decode_milliseconds = clock.milliseconds();
  } catch (const Error& error) {
    work.failure = error;
  } catch (const std::bad_alloc&) {
    work.failure = out_of_memory(work);
  }
}

}  // namespace furrow::apps
