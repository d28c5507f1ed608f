// furrow: one program, one verb per job. This file parses the command line and turns every failure into its exit
// status.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <new>
#include <string>

#include "apps/cli/report.h"
#include "apps/cli/signals.h"
#include "apps/limits_text.h"
#include "apps/verbs.h"
#include "apps/version.h"
#include "io/closest.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

constexpr const char* kFooter =
    "Exit status: 0 ok, 1 a bug in Furrow, 2 usage, 3 configuration, 4 malformed input, 5 unsupported, 6 over a limit,\n"
    "7 input/output, 8 device, 9 checksum, 10 no usable face in any input, 11 compared and different, 130/143 interrupted.\n"
    "Results go to standard output, everything else to standard error.";

// The deepest verb that was named, for help and suggestions.
CLI::App* chosen(CLI::App& app) {
  for (CLI::App* verb : app.get_subcommands()) return chosen(*verb);
  return &app;
}

// "segment", "model show": the verb as it is typed.
std::string typed(const CLI::App& verb) {
  const CLI::App* above = verb.get_parent();
  return above == nullptr ? "" : typed(*above) + verb.get_name() + " ";
}

std::vector<std::string> known_words(const CLI::App& app, bool options) {
  std::vector<std::string> words;
  if (options)
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
  else
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
      words.push_back(verb->get_name());
  return words;
}

// CLI11's message for what it could not parse, with the word most likely meant.
Error usage_error(CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  CLI::App& verb = *chosen(app);
  std::string reason = error.what();
  std::ranges::replace(reason, '\n', ' ');
  std::string hint = "see furrow " + typed(verb) + "--help";
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    const bool option = word.starts_with("--");
    word = word.substr(0, word.find('='));
    const std::vector<std::string> known = known_words(verb, option);
    if (reason.find(word) == std::string::npos || std::ranges::find(known, word) != known.end()) continue;
    if (const std::string close = io::closest_word(word, known); !close.empty()) hint = "did you mean " + close + "?";
  }
  return Error(ErrorCode::usage, reason).hint(hint);
}

int parse_and_run(int argc, char** argv, Program& program) {
  CLI::App app("furrow finds wrinkles in face photos.", "furrow");
  app.footer(kFooter);
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", version_text());
  app.add_flag("--json", program.common.json, "Results and errors as JSON on standard output");
  app.add_flag("-q,--quiet", program.common.quiet, "No progress and no notes");
  bool limits = false;
  app.add_flag("--limits", limits, "Print every limit on input files and stop");
  std::vector<std::string> changed;
  app.add_option("--limit", changed, "Change a limit: NAME=NUMBER, may be repeated (names: --limits)")
      ->allow_extra_args(false);
  add_segment(app, program);
  add_train(app, program);
  add_evaluate(app, program);
  add_prepare(app, program);
  add_model(app, program);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    const int status = app.exit(success);  // --help, --version
    cli::print("");                        // says whether it arrived
    return status;
  } catch (const CLI::ParseError& error) { throw usage_error(app, error, argc, argv); }
  for (const std::string& assignment : changed) set_limit(assignment, program.limits);
  if (limits) {
    cli::print(limits_text(program.limits, program.common.json));
    return 0;
  }
  if (!program.run)
    throw Error(ErrorCode::usage, "no verb given").hint("see furrow --help; try: furrow segment photo.jpg -o out");
  return program.run();
}

}  // namespace
}  // namespace furrow::apps

int main(int argc, char** argv) {
  using furrow::Error, furrow::ErrorCode;
  furrow::apps::Program program;
  furrow::cli::catch_signals();
  // Before parsing, so that an error in the command line itself is reported as asked.
  program.common.json =
      std::any_of(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--json"; });
  try {
    return furrow::apps::parse_and_run(argc, argv, program);
  } catch (const Error& error) { return furrow::cli::report(error, program.common); } catch (const std::bad_alloc&) {
    return furrow::cli::report(Error(ErrorCode::limit, "out of memory").hint("use a smaller picture, --size or --tile"),
                               program.common);
  } catch (const std::exception& error) {
    return furrow::cli::report(Error(ErrorCode::internal, error.what()).hint("please report this as a bug"),
                               program.common);
  }
}
