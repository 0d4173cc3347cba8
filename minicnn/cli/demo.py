"""`minicnn demo`: rendered cells, a network that learns them, and what it can do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from minicnn.cli.shared import Device, console, step, told, training_on
from minicnn.cli.training import code_text, fit, report

__all__ = ["demo"]

DEMO_FOLDER = Path("minicnn-demo")
DEMO_SIZE = (48, 48)

#: What the demo's autoencoder has other than the preset, to draw cells in their tints soon.
DRAWN: dict[str, Any] = {
    "filters": (16, 32, 64), "code_channels": 16, "decoder": "smooth", "opponent": True,
    "learning_rate": 1e-2, "epochs": 11, "batch_size": 8,
}  # fmt: skip


def demo(
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = DEMO_FOLDER,
    seed: Annotated[int, typer.Option(min=0, help="Start of the random numbers.")] = 0,
    device: Device = None,
) -> None:
    """Render cells, train autoencoders on them, denoise and search: no data needed."""
    from minicnn.applications.runs import TrainingRun, claim_folder, preset
    from minicnn.datasets import render_cells, split_by_slide

    began = time.perf_counter()
    common = {"image_size": DEMO_SIZE, "seed": seed}
    with told(), training_on(device):
        for folder in (output, output / "denoiser"):
            _make_way(folder)
            claim_folder(folder, resume=False)
        with step("rendering 720 red blood cells of 24 slides"):
            cells = render_cells(720, DEMO_SIZE, seed=seed)
            train, test = split_by_slide(cells, 0.2, seed=seed)
        described = TrainingRun(
            preset("standard", **DRAWN, **common), output, train.images, test.images, False
        )
        console.print(
            f"training an autoencoder on {len(train)} of them, testing on {len(test)} of other "
            f"slides: each image becomes {code_text(described)}"
        )
        history = fit(described, output)
        denoising = TrainingRun(
            preset("denoiser", epochs=5, **common),
            output / "denoiser",
            train.images,
            test.images,
            False,
        )
        console.print("training a denoiser, which hands details past the code")
        fit(denoising, output / "denoiser")
        report(described, history, began, denoising)
    console.print(
        f"next: minicnn denoise IMAGE --model {output / 'denoiser'}, or train on your own images "
        f"with minicnn train --data DIR",
        markup=False,
    )


def _make_way(folder: Path) -> None:
    """Remove an earlier demo's run, and only that."""
    from minicnn.applications.runs import BACKUP, SETTINGS, load_settings

    if (folder / SETTINGS).exists() and not load_settings(folder).data:
        (folder / BACKUP).unlink(missing_ok=True)
        (folder / SETTINGS).unlink()
