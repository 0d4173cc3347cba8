"""Image files: one reader for everybody, which keeps the numbers as they stand in the file.

`read_picture` reads a PNG, JPEG, TIFF, BMP, WebP or GIF file of 1 to 32 bits, or floats, into a
`Picture`: its numbers, how many bits they have, what their channels mean, and notes on what was
decided. What each caller promises on top, it makes of that: `scaled()` is RGB from 0 to 1,
`eight_bits()` what TensorFlow's decoders give, `numbers` the bare numbers. `write_picture` writes
an image with the format, bits and range of another; `list_images` says which files of a folder are
images.
"""

from minicnn.images.folders import ENDINGS, Listing, is_hidden, is_image, list_images, told_endings
from minicnn.images.picture import Extent, Picture, Range, Ranges, resize, scale
from minicnn.images.reading import read_picture, try_picture, warn_of
from minicnn.images.writing import ending_of, write_picture

__all__ = [
    "ENDINGS", "Extent", "Listing", "Picture", "Range", "Ranges", "ending_of", "is_hidden",
    "is_image", "list_images", "read_picture", "resize", "scale", "told_endings", "try_picture",
    "warn_of", "write_picture",
]  # fmt: skip
