"""Images to learn from: loaders for files, and rendered stand-ins that need no download."""

from minicnn.datasets import landcover, malaria, mnist, nuclei, signs
from minicnn.datasets.cell_images import (
    CellImages,
    load_cell_images,
    slide_of,
    split_at_random,
    split_by_slide,
)
from minicnn.datasets.download import download
from minicnn.datasets.image_files import read_image, write_image
from minicnn.datasets.registry import DATASETS, DataSet, cache_folder, data_folder, find_folder
from minicnn.datasets.rendered_cells import render_cells, save_rendered_cells
from minicnn.datasets.rendered_figures import render_digits, render_signs
from minicnn.datasets.rendered_scenes import (
    render_landcover,
    render_nuclei,
    save_rendered_landcover,
)
from minicnn.errors import suggest_attributes

__all__ = ["DATASETS", "CellImages", "DataSet", "cache_folder", "data_folder",
           "download", "find_folder", "landcover", "load_cell_images", "malaria",
           "mnist", "nuclei", "read_image", "render_cells", "render_digits",
           "render_landcover", "render_nuclei", "render_signs", "save_rendered_cells",
           "save_rendered_landcover", "signs", "slide_of", "split_at_random",
           "split_by_slide", "write_image"]  # fmt: skip

suggest_attributes(__name__)
