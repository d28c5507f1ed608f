// `furrow model`: look at weight files, convert and audit them, check and fetch published ones.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "apps/cli/signals.h"
#include "apps/fetch.h"
#include "apps/manifest.h"
#include "apps/model_audit.h"
#include "apps/model_convert.h"
#include "apps/model_layers.h"
#include "apps/model_quantize.h"
#include "apps/model_show.h"
#include "apps/model_tune.h"
#include "apps/verbs.h"

namespace furrow::apps {
namespace {

std::vector<PublishedFile> manifest_from(const std::string& path) {
  return path.empty() ? builtin_manifest() : read_manifest(path);
}

void add_show(CLI::App& model, Program& program) {
  auto file = std::make_shared<std::string>();
  CLI::App* show = model.add_subcommand("show", "Container, architecture, licence and tensors of a weight file");
  show->add_option("FILE", *file, "A .pth or .safetensors file, or `default` for the model in the program")->required();
  show->callback([&program, file] {
    program.run = [&program, file] { return show_model(*file, program.limits, program.common); };
  });
}

void add_convert(CLI::App& model, Program& program) {
  auto options = std::make_shared<ConvertOptions>();
  CLI::App* convert = model.add_subcommand("convert", "Rewrite a weight file: .safetensors (native) or .pth");
  convert->add_option("IN", options->in, "A .pth or .safetensors file")->required();
  convert->add_option("OUT", options->out, "Ends in .safetensors or .pth")->required();
  convert->add_option("--dtype", options->dtype, "How floating-point tensors are stored: keep (default), f32, f16");
  convert->add_option("--as", options->as,
                      "What kind of checkpoint IN is: seed-2025-02, seed-2025-04 or labhai; sets what its keys cannot tell (normalisation, output, size, labels, texture); options below overrule it");
  convert->add_option("--name", options->name, "Name of the model, for the metadata");
  convert->add_option("--normalisation", options->normalisation, "What the network expects: none, imagenet, half ([-1,1])");
  convert->add_option("--output", options->output, "What the network gives: logits or sigmoid");
  convert->add_option("--threshold", options->threshold, "Probability above which a pixel is a wrinkle");
  convert->add_option("--size", options->size, "Side in pixels that photos are resized to");
  convert->add_option("--resize", options->resize, "How: lanczos, bilinear or nearest (as Pillow)");
  convert->add_option("--labels", options->labels, "Face-parsing labels the training photos kept, e.g. 1,10");
  convert->add_option("--texture", options->texture, "Of 4-channel networks: recipe and sigma of their texture maps, \"closest 5\" or \"authors 5 masked\"");
  convert->add_option("--licence", options->licence, "Licence of the weights");
  convert->add_option("--citation", options->citation, "How to cite them");
  convert->add_option("--nest", options->nest, "For .pth: put the tensors under this key, e.g. model_state_dict (default: bare)");
  convert->add_flag("--force", options->force, "Overwrite OUT");
  convert->callback([&program, options] {
    program.run = [&program, options] { return convert_model(*options, program.limits, program.common); };
  });
}

void add_verify(CLI::App& model, Program& program) {
  struct Options { std::string name, file, manifest; };
  auto options = std::make_shared<Options>();
  CLI::App* verify = model.add_subcommand("verify", "Check a file against the manifest of published weights");
  verify->add_option("NAME", options->name, "Name in the manifest (`furrow model get` lists them)")->required();
  verify->add_option("FILE", options->file, "The file; default: where `get` puts it");
  verify->add_option("--manifest", options->manifest, "Another manifest");
  verify->callback([&program, options] {
    program.run = [&program, options] {
      const auto manifest = manifest_from(options->manifest);
      const PublishedFile& known = find_published(manifest, options->name);
      const std::string path = options->file.empty() ? weights_folder() + "/" + known.file : options->file;
      const std::string found = verify_file(path, known);
      if (known.sha256.empty() && known.sha256_prefix.empty())
        throw Error(ErrorCode::unsupported, "the publisher of " + known.name + " states no hash to compare with").file(path).hint("its sha256 is " + found);
      const bool proved = known.sha256 == found;
      const std::string verdict = proved ? "is the published file" : "matches the part of the hash that is published";
      cli::print(program.common.json ? verdict_json(known, path, found, proved) : path + " " + verdict + " (sha256 " + found + ")\n");
      return 0;
    };
  });
}

void add_quantize(CLI::App& model, Program& program) {
  auto options = std::make_shared<QuantizeOptions>();
  CLI::App* quantize = model.add_subcommand(
      "quantize", "Find from photos how the network's values become bytes, for device cpu: with AVX-512 VNNI faster, and a quarter of the memory");
  quantize->add_option("MODEL", options->model, "A .pth or .safetensors file, or `default`")->required();
  quantize->add_option("--data", options->data, "A folder of photos, or a data set (its folder images)")->required();
  quantize->add_option("-o,--out", options->out, "The native file that is written, .safetensors")->required();
  quantize->add_option("--photos", options->photos, "How many are looked at, the first by name (default: 32)");
  quantize->add_option("--crop", options->crop, "What of a photo: face, none (all of it), auto (default): none in a data set, else face");
  quantize->add_option("--size", options->size, "Side in pixels the network runs on, 32..4096 (default: the model's)");
  quantize->add_option("--iou", options->iou, "How far the masks must agree with those in float32; layers that prevent it stay in float32 (default: 0.99)");
  quantize->add_option("--threads", options->threads, "Worker threads, up to 1024 (default, or 0: all usable processors)");
  quantize->add_flag("--force", options->force, "Overwrite OUT");
  quantize->callback([&program, options] {
    program.run = [&program, options] { return quantize_model(*options, program.limits, program.common); };
  });
}

void add_tune(CLI::App& model, Program& program) {
  auto options = std::make_shared<TuneOptions>();
  CLI::App* tune = model.add_subcommand("tune", "Time Furrow's kernels against cuDNN and cuBLASLt on this GPU, for --kernels auto");
  tune->add_option("MODEL", options->model, "A .pth or .safetensors file (default: the model in the program)");
  tune->add_option("--device", options->device, "cuda (default) or cuda:N");
  tune->add_option("--size", options->size, "Side in pixels the network runs on, 32..4096 (default: the model's)");
  tune->add_option("--precision", options->precision, "fp16 (default), bf16, tf32");
  tune->add_option("--rounds", options->rounds, "How often each is run, in turns (default: 20)");
  tune->add_option("--tune", options->file, "The file that the result is added to (default: in the cache folder)");
  tune->callback([&program, options] {
    program.run = [&program, options] { return tune_model(*options, program.limits, program.common); };
  });
}

// Two audits behind one verb: of the layers, or with --backward of the gradients. What belongs to the other is refused.
void add_audit(CLI::App& model, Program& program) {
  auto options = std::make_shared<LayersOptions>();
  auto backward = std::make_shared<std::string>();
  options->compute.device = "cpu";
  CLI::App* audit = model.add_subcommand(
      "audit", "Every layer of the plan that segment runs: shapes, cost, time, range, checksum, beside another run's; or with --backward every gradient");
  audit->footer(
      "Exit status: 0 everything agrees or nothing was compared, 11 something departs. docs/audit.md describes the rows,\n"
      "the files of --dump and --compare, and has a PyTorch script that writes a dump for --backward.");
  audit->add_option("FILE", options->model, "A .pth or .safetensors file, or `default`")->required();
  std::vector<CLI::Option*> of_layers = {
      audit->add_option("PHOTO", options->photo, "PNG or JPEG (default: a synthetic picture, always the same)"),
      audit->add_option("--crop", options->crop, "What of PHOTO: face (default: its largest) or none (all of it)"),
      audit->add_option("--size", options->size, "Side in pixels the network runs on, 32..4096 (default: the model's)"),
      audit->add_flag("--tile", options->tile, "One window of those that segment --tile runs: the one in the middle"),
      audit->add_option("--labels", options->labels, "Face-parsing label map of PHOTO (PNG), as segment takes it"),
      audit->add_option("--keep", options->keep, "Labels in which marks count, e.g. 1,10 (default: the model's)"),
      audit->add_option("--precision", options->compute.precision, "On the CUDA kernels: fp16 (default, again in bf16 where it overflows), bf16, tf32, fp32; on cpu: int8 (default of a quantised model where the CPU has VNNI), fp32"),
      audit->add_option("--kernels", options->compute.kernels, "Of --device cuda, as segment takes it: auto (default), own, vendor"),
      audit->add_option("--memory", options->compute.memory, "Of --device cpu, as segment takes it: normal (default), low"),
      audit->add_option("--tune", options->compute.tuning, "The file of `furrow model tune`, as segment takes it"),
      audit->add_option("--layers", options->layers, "plan (default): the fused steps; all: the unfused tape, which keeps every value"),
      audit->add_option("--rounds", options->rounds, "How often everything runs; times are medians (default: 3)"),
      audit->add_option("--dump", options->dump, "Write every value to this folder, NAME.npy, float32 [N,C,H,W]"),
      audit->add_option("--compare", options->compare, "Compare with the .npy files of this folder, as far as it has them"),
      audit->add_option("--against", options->against, "Compare with this device, value by value"),
      audit->add_option("--tolerance", options->tolerance, "Allowed max|a-b| / max|b| (default: 1e-4; tf32 1e-2, fp16 2e-2, bf16 1e-1)"),
      audit->add_option("--trace", options->trace, "Write a Chrome trace (chrome://tracing, ui.perfetto.dev) to this file"),
      audit->add_option("--svg", options->svg, "Write a drawing of where time and bytes go to this file")};
  audit->add_option("--backward", *backward, "The dump of another program's training steps: a .pth or .safetensors file");
  audit->add_option("--device", options->compute.device, "cpu (default), ref (float64), cpu-emulated (slow), cuda, cuda:N, auto");
  audit->add_option("--threads", options->compute.threads, "Worker threads, up to 1024 (default, or 0: all usable processors)");
  audit->callback([&program, options, backward, of_layers] {
    program.run = [&program, options, backward, of_layers] {
      if (backward->empty()) return audit_layers(*options, program.limits, program.common);
      for (const CLI::Option* option : of_layers)
        if (option->count() > 0)
          throw Error(ErrorCode::usage, option->get_name() + " is of no use with --backward").hint("leave one out");
      return audit_model({.model = options->model,
                          .backward = *backward,
                          .device = options->compute.device,
                          .threads = options->compute.threads},
                         program.limits, program.common);
    };
  });
}

void add_get(CLI::App& model, Program& program) {
  struct Options { std::string name, from, folder, manifest, sha256; };
  auto options = std::make_shared<Options>();
  CLI::App* get = model.add_subcommand("get", "Fetch published weights by name; without a name: list them");
  get->add_option("NAME", options->name, "Name in the manifest");
  get->add_option("--from", options->from, "Take a file that is here already instead of downloading");
  get->add_option("-o,--output", options->folder, "Folder (default: $FURROW_WEIGHTS or ~/.local/share/furrow/weights)");
  get->add_option("--sha256", options->sha256, "The hash to demand where the manifest knows none");
  get->add_option("--manifest", options->manifest, "Another manifest");
  get->callback([&program, options] {
    program.run = [&program, options] {
      const auto manifest = manifest_from(options->manifest);
      if (options->name.empty()) {
        cli::print(list_published(manifest, program.common.json));
        return 0;
      }
      PublishedFile known = find_published(manifest, options->name);
      if (!options->sha256.empty()) known.sha256 = demanded_hash(options->sha256, known);
      const std::string folder = options->folder.empty() ? weights_folder() : options->folder;
      cli::note(program.common, known.name + ": licence " + known.licence + "; cite " + known.citation);
      std::string path;
      if (!options->from.empty()) {
        path = take_local(options->from, known, folder);
      } else {
        if (!known.direct)
          throw Error(ErrorCode::unsupported, known.name + " has no direct address").hint("fetch it from " + known.origin + ", then: furrow model get " + known.name + " --from FILE");
        if (known.sha256.empty() && known.sha256_prefix.empty())
          throw Error(ErrorCode::usage, "the publisher of " + known.name + " states no hash, so a download could not be checked")
              .hint("give the hash you expect with --sha256, or fetch " + known.origin + " yourself and use --from FILE, which tells you its hash");
        try {
          path = download(known, folder, {.progress = !program.common.quiet});
        } catch (const Interrupted&) {
          cli::note(program.common, "interrupted; run the same command again to go on");
          return cli::interrupted();
        }
      }
      cli::print(program.common.json ? verdict_json(known, path, verify_file(path, known), !known.sha256.empty()) : path + "\n");
      return 0;
    };
  });
}

}  // namespace

void add_model(CLI::App& app, Program& program) {
  CLI::App* model = app.add_subcommand("model", "Weight files: show, convert, audit, verify, get, tune");
  model->require_subcommand(1);
  model->fallthrough();
  add_show(*model, program);
  add_convert(*model, program);
  add_audit(*model, program);
  add_verify(*model, program);
  add_get(*model, program);
  add_quantize(*model, program);
  add_tune(*model, program);
  for (CLI::App* verb : model->get_subcommands([](const CLI::App*) { return true; })) verb->fallthrough();
}

}  // namespace furrow::apps
