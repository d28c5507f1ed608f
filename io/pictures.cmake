set(FURROW_IO_PICTURES
  exif.cc file_format.cc html.cc jpeg_colour.cc jpeg_entropy.cc jpeg_idct.cc jpeg_markers.cc jpeg_pixels.cc jpeg_planes.cc
  jpeg_upsample.cc jpeg_walk.cc labels.cc picture.cc png_pixels.cc png_rows.cc png_walk.cc png_write.cc resize.cc
  resize_opencv.cc stb_decode.cc upright.cc)
