// The command line of `furrow prepare fetch`.
#include "apps/prepare/fetch_options.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/words.h"
#include "apps/prepare/fetch.h"

namespace furrow::apps {
namespace {

constexpr const char* kFetchExamples =
    "Examples:\n"
    "  furrow prepare fetch                                      what there is: licence, size, origin\n"
    "  furrow prepare fetch manual-masks parsed-labels --unpack  into ./data\n"
    "  furrow prepare fetch ffhq-metadata\n"
    "  furrow prepare fetch ffhq --metadata data/ffhq-dataset-v2.json --ids data/manual_wrinkle_masks\n"
    "  furrow prepare fetch bisenet --from 79999_iter.pth        a file that was fetched by hand\n"
    "No OAuth, and nothing else that needs a login: what is not open to everyone is refused with the way to do it by "
    "hand.\n"
    "A broken download goes on with the same command. Size and hash are checked before a file gets its name.";

}  // namespace

void add_fetch(CLI::App& prepare, Program& program) {
  auto options = std::make_shared<FetchOptions>();
  CLI::App* step = prepare.add_subcommand(
      "fetch", "Download published data sets and weights with the system's curl; without a name: list them");
  step->fallthrough();
  step->footer(kFetchExamples);
  step->add_option("NAME", options->names, "Names of the list");
  step->add_flag("--list", options->list, "List what there is");
  step->add_option("-o,--output", options->folder, "Folder (default: data; of weights as `model get`)");
  step->add_option("--from", options->from, "Take a file that is here already, after the same checks");
  step->add_option("--metadata", options->metadata, "Of ffhq: NVIDIA's ffhq-dataset-v2.json");
  step->add_option("--ids", options->ids,
                   "Of ffhq, which photos: 0,5,10-20, a file with one a line, or a folder of NNNNN.png");
  step->add_option("--limit", options->limit, "Of ffhq: the first N of them (default, or 0: all of --ids)");
  step->add_option("--jobs", options->jobs, "Files fetched at once, 1..32 (default: 4)");
  step->add_option("--tries", options->tries, "Of each file, 1..100, waiting longer each time (default: 5)");
  step->add_option("--stall", options->stall_s,
                   "Seconds below 1 kB/s after which a try is given up, 1..3600 (default: 60)");
  step->add_option("--size", options->size, "Bytes at most in all, e.g. 500M: more is refused before it is fetched");
  step->add_option("--sha256", options->sha256, "The hash to demand where the publisher states none");
  step->add_option("--manifest", options->manifest, "Another list (JSON as data/manifest.json)");
  step->add_flag("--unpack", options->unpack, "Unpack zips (none with a password) beside themselves");
  step->add_flag("--force", options->force, "Fetch again what is there");
  step->callback([&program, options] {
    program.run = [&program, options] {
      check_range("--jobs", options->jobs, 1, 32), check_range("--tries", options->tries, 1, 100);
      check_range("--stall", options->stall_s, 1, 3600), check_range("--limit", options->limit, 0, 70'000);
      options->limits = program.limits;
      return prepare_fetch(*options, program.common);
    };
  });
}

}  // namespace furrow::apps
