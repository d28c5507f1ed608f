#include "apps/evaluate/classes.h"
#include "apps/evaluate/results.h"
#include "io/atomic_file.h"
#include "kernels/threads.h"

namespace furrow::apps {

int write_results(const EvaluateJob& job, const cli::Common& common, const ClassesRecord& record) {
  const Ending ending(common, record.failures, record.rows.size());
  if (job.shards > 1) {
    write_shard(job, common, ending, classes_record_json(record), record.rows.size());
    return ending.finish();
  }
  ending.require_rows();
  ThreadPool pool(job.compute.threads);
  const ClassesSummary summary = summarise(record, &pool);
  const auto write = [&](const char* name, const std::string& text) {
    io::write_file_atomically(job.out + "/" + name, std::as_bytes(std::span(text)));
  };
  write("classes.csv", classes_csv(record, summary));
  write("confusion.csv", confusion_csv(summary));
  write("groups.csv", class_groups_csv(summary));
  write("per_image.csv", class_pictures_csv(record, summary));
  write("report.html", classes_report_html(record, summary));
  write("evaluate.json", classes_json(record, summary, 1));
  if (common.json)
    ending.print_json(classes_json(record, summary, -1));
  else
    cli::print(classes_text(record, summary));
  cli::note(common, "written: " + job.out +
                        "/evaluate.json  classes.csv  confusion.csv  groups.csv  per_image.csv  report.html");
  return ending.finish();
}

}  // namespace furrow::apps
