"""Images to learn from: loaders for folders of files, and rendered cells that need no download."""

from minicnn.datasets.cell_images import CellImages, load_cell_images, slide_of, split_by_slide
from minicnn.datasets.image_files import read_image, write_image
from minicnn.datasets.rendered_cells import render_cells, save_rendered_cells

__all__ = [
    "CellImages",
    "load_cell_images",
    "read_image",
    "render_cells",
    "save_rendered_cells",
    "slide_of",
    "split_by_slide",
    "write_image",
]
