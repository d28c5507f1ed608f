# Pictures: what walks a file's structure, and what touches every pixel.
set(FURROW_IO_PICTURES
  exif.cc file_format.cc html.cc jpeg_markers.cc jpeg_walk.cc picture.cc png_walk.cc)
set(FURROW_IO_PICTURES_LOOPS
  jpeg_colour.cc jpeg_entropy.cc jpeg_idct.cc jpeg_pixels.cc jpeg_planes.cc jpeg_upsample.cc labels.cc png_pixels.cc
  png_rows.cc png_write.cc quad.cc resize.cc resize_opencv.cc texture.cc upright.cc)
