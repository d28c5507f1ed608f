// `furrow prepare parse`: label maps of photos, by a network that parses faces.
#pragma once

#include <string>

#include "apps/prepare/folder_job.h"
#include "segment/segmenter.h"

namespace furrow::apps {

struct ParseOptions {
  FolderOptions folder;
  std::string parser;          // the file of its weights
  std::string format = "png";  // npy
  ComputeOptions compute;
};

// One label map per photo, of the parser's size (512 x 512 for the published one): the photo resized by the parser's
// rule, each pixel the class of the largest logit, numbers of segment/face_classes.h. A palette PNG in CelebAMask-HQ's
// colours, or an .npy of uint8. Errors of a file: malformed, or unsupported for a photo that is not square or that EXIF
// turns; of all: those of Model::load() and FaceParser.
int prepare_parse(const ParseOptions& options, const cli::Common& common);

}  // namespace furrow::apps
