"""Networks for segmentation, and masks, patches and checkerboards."""

import tracemalloc

import numpy as np
import pytest

from minicnn import Model, layers, ops
from minicnn.applications.checkerboard import checkerboard_share, overlap_counts, spectrum
from minicnn.applications.fcn import fcn, segment
from minicnn.applications.grown_autoencoder import autoencoder_of, encoder_stage
from minicnn.applications.masks import (
    draw_masks,
    intersection_over_union,
    overlay,
)
from minicnn.applications.patches import random_patches
from minicnn.applications.unet import unet
from minicnn.applications.vgg16 import VGG16
from minicnn.datasets import landcover, save_rendered_landcover
from minicnn.errors import ArgumentError, ShapeError
from minicnn.metrics import BinaryIoU

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("convolutions", [1, 2])
def test_the_unet_keeps_the_size_and_hands_each_stage_across(convolutions):
    model = unet((16, 24, 2), 3, filters=(4, 5, 6), convolutions=convolutions)
    shares = model.predict(RNG.random((2, 16, 24, 2)), verbose=0)
    assert shares.shape == (2, 16, 24, 3)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=1e-5)
    for number, (height, width, channels) in ((1, (16, 24, 4)), (2, (8, 12, 5))):
        end, up = model.get_layer(f"up{number}_skip").input
        assert end is model.get_layer(f"down{number}_relu{convolutions}").output
        assert up.shape == (None, height, width, channels)


def test_the_unet_takes_images_of_any_fitting_size():
    model = unet((None, None, 1), filters=(3, 4))
    assert model.predict(np.zeros((1, 6, 10, 1)), verbose=0).shape == (1, 6, 10, 1)


def test_a_pixel_of_the_unet_depends_on_its_surroundings_through_the_bottom():
    model = unet((16, 24, 1), filters=(3, 4, 5))
    x = RNG.random((1, 16, 24, 1))
    changed = x.copy()
    changed[0, 15, 23] += 1
    difference = model.predict(changed, verbose=0) - model.predict(x, verbose=0)
    # 3x3 at the top reaches 1 pixel, at the bottom 4 pixels at once; far away nothing changes.
    assert abs(difference[0, 8, 16]).max() > 0
    assert (difference[0, :2, :4] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((16, 24), 1), "input_shape="),
        (((16, 24, 1), 0), "classes=0"),
        (((18, 24, 1), 1), "height 18 is no multiple of 8"),
        (((16, 28, 1), 1), "use 24 or 32"),
    ],
)
def test_the_unet_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        unet(*arguments)


def test_a_frozen_base_is_not_trained():
    base = VGG16(include_top=False, weights=None, width=1 / 32)
    model = fcn(2, base=base)
    trained = {w.name for layer in model.layers if layer.trainable for w in layer.trainable_weights}
    assert trained
    assert not base.trainable_weights
    assert len(fcn(2).trainable_weights) == len(model.trainable_weights) + 26
    model.compile("adam", "sparse_categorical_crossentropy")
    before = [w.copy() for w in base.get_weights()]
    model.train_on_batch(RNG.random((2, 32, 64, 3)), RNG.integers(0, 2, (2, 32, 64)))
    for a, b in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_fcn_adds_the_scores_of_three_pools():
    model = fcn(3, base=VGG16(include_top=False, weights=None, width=1 / 32))
    x = RNG.random((1, 64, 96, 3)).astype("float32")
    ends = [model.get_layer(f"score{step}").output for step in (32, 16, 8)]

    coarse, middle, fine = Model(model.input, ends).predict(x, verbose=0)
    assert [a.shape for a in (coarse, middle, fine)] == [
        (1, 2, 3, 3), (1, 4, 6, 3), (1, 8, 12, 3)
    ]  # fmt: skip
    y = middle + model.get_layer("up32")(coarse).numpy()
    y = fine + model.get_layer("up16")(y).numpy()
    y = ops.softmax(model.get_layer("up8")(y)).numpy()
    np.testing.assert_allclose(model.predict(x, verbose=0), y, rtol=1e-4, atol=1e-6)


def test_segment_of_a_fitting_size_is_predict_and_of_others_cut():
    model = fcn(base=VGG16(include_top=False, weights=None, width=1 / 32))
    x = RNG.random((1, 32, 64, 3))
    np.testing.assert_array_equal(segment(model, x), model.predict(x, verbose=0))
    mirrored = np.concatenate([x, x[:, :, ::-1]], axis=2)[:, :, :96]
    cut = mirrored[:, :, :70]
    np.testing.assert_allclose(
        segment(model, cut)[:, :, :60],
        model.predict(np.pad(cut, ((0, 0), (0, 0), (0, 26), (0, 0)), "symmetric"), verbose=0)[
            :, :, :60
        ],
    )
    with pytest.raises(ShapeError, match=r"must be \(N,H,W,C\)"):
        segment(model, x[0])


def test_the_share_of_common_pixels_is_that_of_the_metric():
    truth, predicted = RNG.integers(0, 2, (3, 5, 7, 1)), RNG.random((3, 5, 7, 1))
    found = intersection_over_union(truth, predicted)
    for a, b, value in zip(truth, predicted, found, strict=True):
        metric = BinaryIoU(target_class_ids=[1], threshold=0.5)
        metric.update_state(a, b)
        np.testing.assert_allclose(value, metric.result(), rtol=1e-6)
    empty = np.zeros((1, 5, 7, 1))
    assert intersection_over_union(empty, empty).tolist() == [1.0]
    with pytest.raises(ShapeError, match="must be equal"):
        intersection_over_union(truth, predicted[:2])


def test_an_overlay_changes_the_mask_alone_and_marks_its_edge():
    image, mask = np.full((6, 9, 1), 0.5), np.zeros((6, 9))
    mask[1:5, 2:8] = 1
    drawn = overlay(image, mask, (1.0, 0.0, 0.0))
    assert (drawn[mask == 0] == 0.5).all()
    assert drawn[1, 2].tolist() == [1, 0, 0]
    assert drawn[2, 3].tolist() == pytest.approx([0.675, 0.325, 0.325])
    assert image.max() == 0.5


def test_pictures_of_masks():
    images, masks = RNG.random((2, 12, 20, 1)), RNG.integers(0, 2, (2, 12, 20, 1))
    figure = draw_masks(images, masks, RNG.random((2, 12, 20, 1)))
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert sum(text.startswith("IoU ") for text in texts) == 2


def test_patches_hold_the_same_place_of_image_and_mask():
    height, width = 20, 30
    places = np.arange(height * width).reshape(height, width, 1)
    samples = [(places, places[..., 0]), (places + 1000, places[..., 0] + 1000)]
    patches = list(random_patches(samples, 8, per_sample=40, seed=3))
    assert len(patches) == 80
    assert sum(image.min() >= 1000 for image, _ in patches) == 40
    steps = set()
    for image, mask in patches:
        np.testing.assert_array_equal(image[..., 0], mask)
        assert image.shape == (8, 8, 1)
        steps.add((int(mask[1, 0] - mask[0, 0]), int(mask[0, 1] - mask[0, 0])))
    # All eight ways to flip and turn a square.
    ways = {(a * width, b) for a in (1, -1) for b in (1, -1)}
    assert steps == ways | {(b, a) for a, b in ways}
    again = list(random_patches(samples, 8, per_sample=40, seed=3))
    assert all((a[1] == b[1]).all() for a, b in zip(patches, again, strict=True))
    other = list(random_patches(samples, 8, per_sample=40, seed=4))
    assert any((a[1] != b[1]).any() for a, b in zip(patches, other, strict=True))
    with pytest.raises(ArgumentError, match="at most 20 fit"):
        list(random_patches(samples, 21))


def test_memory_does_not_grow_with_the_folder(tmp_path):
    peaks = []
    for count in (2, 16):
        folder = tmp_path / str(count)
        save_rendered_landcover(folder, count, (96, 128))
        samples = landcover.load_data(folder)
        tracemalloc.start()
        for _ in random_patches(samples, 32, per_sample=4):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    one = 96 * 128 * 5
    assert peaks[1] < peaks[0] + 2 * one


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (4, 2), (5, 3), (2, 2)])
def test_overlaps_are_those_of_counting(kernel, stride):
    counts = np.zeros(((5 - 1) * stride + kernel,) * 2)
    for row in range(5):
        for column in range(5):
            counts[row * stride :, column * stride :][:kernel, :kernel] += 1
    np.testing.assert_array_equal(overlap_counts(kernel, stride, 5), counts)


def test_the_share_of_a_pattern():
    smooth = np.cos(np.arange(24) / 12 * np.pi)[None, None, :, None] * np.ones((1, 16, 1, 3))
    columns = smooth + 0.5 * (np.arange(24) % 2)[:, None]
    rows = smooth + 0.5 * (np.arange(16) % 2)[:, None, None]
    assert checkerboard_share(smooth) < 1e-3
    shares = [checkerboard_share(x) for x in (columns, rows)]
    assert min(shares) > 0.05
    assert checkerboard_share(rows + 10) == pytest.approx(shares[1])
    with pytest.raises(ArgumentError, match="15 x 24"):
        checkerboard_share(smooth[:, :15])
    with pytest.raises(ShapeError, match="spectrum"):
        spectrum(smooth[0])


def test_a_grown_autoencoder_keeps_what_its_encoder_learned():
    x = RNG.random((6, 16, 24, 3)).astype("float32")
    stages = [encoder_stage(4, 1)]
    shallow = autoencoder_of((16, 24, 3), stages)
    shallow.compile("adam", "mse")
    shallow.fit(x, x, verbose=0)
    learned = [w.numpy() for layer in stages[0] for w in layer.weights]
    stages.append(encoder_stage(5, 2))
    deep = autoencoder_of((16, 24, 3), stages)
    assert deep.get_layer("encoder2_pool").output.shape == (None, 4, 6, 5)
    for layer in stages[0]:
        assert deep.get_layer(layer.name) is layer
    for a, b in zip(learned, [w for s in stages[0] for w in s.weights], strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    assert deep.predict(x, verbose=0).shape == x.shape
    kinds = [type(layer) for layer in deep.layers]
    assert kinds.count(layers.Conv2DTranspose) == 2
    with pytest.raises(ArgumentError, match="multiples of 4"):
        autoencoder_of((18, 24, 3), stages)
