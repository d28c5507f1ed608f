#include "apps/prepare/folder_job.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <mutex>
#include <new>
#include <set>

#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "apps/cli/text.h"
#include "data/strict_json.h"
#include "io/atomic_file.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecordBegin = R"({"schema":"furrow.prepare.settings/1")";
constexpr std::string_view kErrorBegin = R"({"error":)";
constexpr uint64_t kRecordBytes = 1 << 16;
constexpr size_t kNamed = 8;  // of those without a partner, in the note

std::string canonical(const std::string& path) {
  std::error_code error;
  const fs::path found = fs::weakly_canonical(path, error);
  return error ? path : found.string();
}

// What became of one file; each is written by one task.
struct FileOutcome {
  enum class State : uint8_t { none, done, before, without, failed } state = State::none;
  std::string line, json;  // of the failure; {"error":{...}}
};

class FolderRun {
 public:
  FolderRun(const FolderOptions& options, const FileWork& work, const cli::Common& common)
      : options_(options),
        work_(work),
        common_(common),
        inputs_(cli::expand_inputs(options.inputs, options.out, &others_)) {
    leave_partners_out();
    outcomes_.resize(inputs_.size());
    for (const cli::Input& input : inputs_) {
      sources_.insert(canonical(input.path));
      ++results_[work_.result(input)];
      if (work_.one_of_a_name) ++results_["/" + stem_of(input.path)];  // no result's name begins so
    }
    resumes_ = open_record();
  }

  int run() {
    ThreadPool pool(options_.threads);
    for_files(pool, inputs_.size(), "files", common_, [&](size_t i) {
      run_one(inputs_[i], outcomes_[i]);
      const State state = outcomes_[i].state;
      return state == State::failed ? FileEnd::failed : state == State::done ? FileEnd::worked : FileEnd::passed;
    });
    return finish();
  }

 private:
  using State = FileOutcome::State;

  // Masks in a folder within that of the photos.
  void leave_partners_out() {
    if (work_.partners.empty()) return;
    const std::string partners = canonical(work_.partners) + "/";
    if (std::ranges::any_of(options_.inputs,
                            [&](const std::string& word) { return partners == canonical(word) + "/"; }))
      return;
    std::erase_if(inputs_, [&](const cli::Input& input) {
      return input.from_folder && canonical(input.path).starts_with(partners);
    });
  }

  // Whether results in `out` are known to be of these settings.
  bool open_record() {
    const std::string path = options_.out + "/prepare.json";
    const std::string text = cli::JsonObject()
                                 .text("schema", "furrow.prepare.settings/1")
                                 .text("command", work_.command)
                                 .text("settings", work_.settings)
                                 .str() +
                             "\n";
    std::error_code error;
    fs::create_directories(options_.out, error);
    if (error)
      throw Error(ErrorCode::io, "cannot create the folder for results: " + error.message()).file(options_.out);
    if (fs::exists(path, error)) {
      if (!cli::begins_with(path, kRecordBegin))
        throw Error(ErrorCode::usage, "a file of this name exists, and `furrow prepare` did not write it")
            .file(path)
            .hint("choose another folder");
      const std::string found =
          with_file(path, [&] { return data::read_text_within(path, kRecordBytes, "a record of settings"); });
      if (found == text) return true;
      if (!options_.force)
        throw Error(ErrorCode::usage, "the folder holds results of another command or of other settings")
            .file(path)
            .hint("choose another folder, or --force");
    }
    if (!options_.force) refuse_unknown_results();
    io::write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
    return false;
  }

  // Results that no record explains would count as this command's the next time.
  void refuse_unknown_results() const {
    for (const cli::Input& input : inputs_)
      if (const std::string path = options_.out + "/" + work_.result(input); work_.wanted(input))
        if (std::error_code error; fs::exists(path, error))
          throw Error(ErrorCode::usage, "this result exists already, and no prepare.json says what made it")
              .file(path)
              .hint("choose another folder, or --force");
  }

  // Two files that would be one result, and a result that would be an input: nobody can say which is meant.
  void check_name(const cli::Input& input, const std::string& path) const {
    const std::string own = fs::path(input.path).stem().string();
    const std::string base = fs::path(input.base).filename().string();
    if (results_.at(work_.result(input)) > 1 || base != own)
      throw Error(ErrorCode::malformed, "another input would have the same result").hint("rename one of them");
    if (work_.one_of_a_name && results_.at("/" + own) > 1)
      throw Error(ErrorCode::malformed, "several photos have this file name, and what goes with it is of one")
          .hint("rename one of them");
    if (sources_.contains(canonical(path)))
      throw Error(ErrorCode::usage, "its result would overwrite an input: " + path)
          .hint("choose another folder with -o");
  }

  State work_on(const cli::Input& input) const {
    if (input.path == "-")
      throw Error(ErrorCode::usage, "standard input has no name, and names are what files are matched by");
    const std::string path = options_.out + "/" + work_.result(input);
    if (!work_.wanted(input)) return State::without;
    check_name(input, path);
    std::error_code error;
    if (!options_.force && fs::exists(path, error)) {
      if (resumes_ && input.from_folder && work_.fits(input, path)) return State::before;
      throw Error(ErrorCode::usage, cli::Text()
                                        << "its result exists already"
                                        << (resumes_ && input.from_folder ? ", with another size: " : ": ") << path)
          .hint("--force overwrites it");
    }
    const std::vector<std::byte> bytes = work_.make(input);
    fs::create_directories(fs::path(path).parent_path(), error);
    io::write_file_atomically(path, bytes, options_.force);
    return State::done;
  }

  void run_one(const cli::Input& input, FileOutcome& out) const {
    const auto fail = [&](const Error& error) {
      if (inputs_.size() == 1 && !input.from_folder) throw Error(error);
      out = {State::failed, error.line(), cli::error_json(error)};
    };
    try {
      out.state = with_file(input.path, [&] { return work_on(input); });
    } catch (const Error& error) { fail(error); } catch (const std::bad_alloc&) {
      fail(Error(ErrorCode::limit, "out of memory").file(input.path).hint("use fewer --threads"));
    }
  }

  int64_t count(State state) const { return std::ranges::count(outcomes_, state, &FileOutcome::state); }

  int finish() const {
    const int64_t done = count(State::done), before = count(State::before), failed = count(State::failed);
    std::vector<std::string> without, failures;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (outcomes_[i].state == State::without) without.push_back(inputs_[i].path);
      if (outcomes_[i].state == State::failed) failures.push_back(outcomes_[i].line);
    }
    const auto more = work_.more(inputs_);
    if (common_.json) {
      cli::JsonObject out;
      out.text("schema", "furrow.prepare/1").text("command", work_.command).text("output", options_.out);
      out.text("settings", work_.settings).number("done", done).number("finished_before", before);
      out.texts("without", without);
      for (const auto& [key, paths] : more) out.texts(key, paths);
      std::vector<std::string> errors;
      for (const FileOutcome& outcome : outcomes_)
        if (outcome.state == State::failed)
          errors.push_back(outcome.json.substr(kErrorBegin.size(), outcome.json.size() - kErrorBegin.size() - 1));
      cli::print(out.raws("failed", errors).str() + "\n");
    } else {
      cli::Text text;
      text << count_text(done, "file") << " written to " << printable(options_.out, 400);
      if (before > 0) text << ", " << before << " finished before";
      if (!without.empty()) text << ", " << without.size() << " " << work_.without;
      if (failed > 0) text << ", " << failed << " failed";
      cli::print(text.str() + "\n");
      name_some(work_.without, without);
      for (const auto& [key, paths] : more) name_some(key, paths);
    }
    if (const std::string others = cli::other_files_text(others_); !others.empty())
      cli::note(common_, others + " skipped");
    if (const int status = cli::interrupted(); status != 0 && count(State::none) > 0) {
      cli::note(common_, "interrupted; run the same command again to go on");
      return status;
    }
    if (failed > 0)
      throw Error(ErrorCode::malformed, cli::Text() << failed << " of " << inputs_.size() << " inputs failed")
          .details(std::move(failures));
    if (done + before == 0)
      throw Error(ErrorCode::usage, cli::Text() << "all of the " << inputs_.size() << " files are " << work_.without);
    return 0;
  }

  void name_some(const std::string& what, const std::vector<std::string>& paths) const {
    if (paths.empty()) return;
    cli::Text text;
    text << what;
    for (size_t i = 0; i < std::min(paths.size(), kNamed); ++i)
      text << (i == 0 ? ": " : ", ") << printable(paths[i], 200);
    if (paths.size() > kNamed) text << " and " << paths.size() - kNamed << " more (all with --json)";
    cli::note(common_, text.str());
  }

  const FolderOptions& options_;
  const FileWork& work_;
  const cli::Common& common_;
  cli::OtherFiles others_;
  std::vector<cli::Input> inputs_;
  std::vector<FileOutcome> outcomes_;
  std::set<std::string> sources_;
  std::map<std::string, int> results_;
  bool resumes_ = false;
};

}  // namespace

int run_folder(const FolderOptions& options, const FileWork& work, const cli::Common& common) {
  return FolderRun(options, work, common).run();
}

void for_files(ThreadPool& pool, size_t files, const char* what, const cli::Common& common,
               const std::function<FileEnd(size_t)>& body) {
  cli::Progress progress(static_cast<int64_t>(files), what, !common.quiet && !common.json);
  std::mutex mutex;
  int64_t done = 0, failed = 0, passed = 0;
  parallel_for(&pool, static_cast<int64_t>(files), [&](int64_t i, int) {
    if (cli::interrupted() != 0) return;
    const FileEnd end = body(static_cast<size_t>(i));
    const std::lock_guard lock(mutex);
    failed += end == FileEnd::failed, passed += end == FileEnd::passed;
    progress.update(++done, failed, passed);
  });
}

std::string failure_of(const std::string& path, const std::function<void()>& body) {
  try {
    with_file(path, body);
  } catch (const Error& error) { return error.line(); } catch (const std::bad_alloc&) {
    return Error(ErrorCode::limit, "out of memory").file(path).hint("use fewer --threads").line();
  }
  return "";
}

void refuse_existing(const std::string& path, bool force) {
  std::error_code error;
  if (!force && fs::exists(path, error))
    throw Error(ErrorCode::usage, "this file exists already").file(path).hint("--force overwrites it");
}

FilesByStem files_by_stem(const std::string& folder, const std::vector<std::string>& suffixes) {
  FilesByStem found;
  std::error_code error, ignored;
  fs::recursive_directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    if (path.filename().string().starts_with('.')) {
      if (it->is_directory(ignored)) it.disable_recursion_pending();
      continue;
    }
    std::string suffix = path.extension().string();
    std::ranges::transform(suffix, suffix.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (std::ranges::find(suffixes, suffix) != suffixes.end() && !it->is_directory(ignored))
      found[path.stem().string()].push_back(path.string());
  }
  if (error) throw Error(ErrorCode::io, "cannot list the folder: " + error.message()).file(folder);
  for (auto& [stem, paths] : found) std::ranges::sort(paths);
  return found;
}

std::string stem_of(const std::string& path) { return fs::path(path).stem().string(); }

std::string count_text(int64_t n, const std::string& what) {
  return cli::Text() << n << " " << what << (n == 1 ? "" : "s");
}

}  // namespace furrow::apps
