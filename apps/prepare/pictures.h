// `furrow prepare mask`, `texture`, `overlay` and `collect`: a picture from each photo. PictureOptions: `align` too.
#pragma once

#include <string>

#include "apps/prepare/folder_job.h"
#include "io/image.h"

namespace furrow::apps {

struct PictureOptions {
  FolderOptions folder;
  std::string labels;  // folder of label maps; "": none (texture)
  std::string keep = "skin,nose", order = "bisenet";
  std::string recipe = "best";  // texture: authors, inverse, best (closest); align: ffhq, ffhq-aging
  double sigma = 5;             // texture: of photos of 1024 pixels
  int size = 0;                 // mask: side the photo is resized to first; 0: as it is; align: of the result
  std::string masks;            // collect: folder of masks
  std::string landmarks, padding = "on";  // align: the JSON file; on, off
  int transform = 4096;                   // align: side at which the face is sampled
};

// An RGB photo without its transparency. ErrorCode::unsupported where EXIF turns it: labels say nothing of whether they
// were drawn before or after. Errors besides: those of io::read_picture().
io::Image read_upright(const std::string& path, const io::Limits& limits);

// The photo where its label is kept, 0 elsewhere. Source: face_masking.py of the seed (docs/prepare.md).
int prepare_mask(const PictureOptions& options, const cli::Common& common);
// io::texture_map() of the photo, 0 outside the kept labels where there are label maps.
int prepare_texture(const PictureOptions& options, const cli::Common& common);
// Half the photo and half the colour of its label (segment/face_classes.h), rounded up; the photo where it is background.
int prepare_overlay(const PictureOptions& options, const cli::Common& common);
// Photos that have a mask of their name, byte for byte, into one flat folder. Source: png_parsing.py of the seed.
int prepare_collect(const PictureOptions& options, const cli::Common& common);

}  // namespace furrow::apps
