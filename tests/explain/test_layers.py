"""Layers and models: their stages add up to what the layer and its gradients are."""

import json

import numpy as np
import pytest

import minicnn as mc
from minicnn import layers
from minicnn.errors import ArgumentError, ShapeError
from minicnn.explain.course.worked import slide_examples
from minicnn.explain.layers import STAGES
from minicnn.explain.merging import MERGING
from minicnn.explain.records.limits import TooLargeError
from tests.explain.reading import check_record, read
from tests.explain.test_page_use import AUDIT, until

IMAGES, SEQUENCES, ROWS = (2, 5, 7, 2), (2, 7, 3), (2, 6)
CASES = [
    (layers.Conv2D(3, (3, 2), (2, 1), "same", activation="relu"), IMAGES),
    (layers.Conv2D(4, (2, 3), dilation_rate=(2, 1), groups=2, use_bias=False), IMAGES),
    (layers.Conv2D(2, (5, 7), activation="softmax"), IMAGES),
    (layers.Conv1D(4, 3, strides=2, padding="causal", activation="tanh"), SEQUENCES),
    (layers.Conv2DTranspose(3, (3, 2), (2, 3), "same", activation="sigmoid"), IMAGES),
    (layers.Conv2DTranspose(2, (3, 2), 2, output_padding=1), IMAGES),
    (layers.Conv1DTranspose(2, 3, strides=2, padding="same"), SEQUENCES),
    (layers.DepthwiseConv2D((2, 3), padding="same", depth_multiplier=2), IMAGES),
    (layers.DepthwiseConv1D(2, strides=2), SEQUENCES),
    (layers.SeparableConv2D(3, (2, 3), activation="elu"), IMAGES),
    (layers.SeparableConv1D(4, 3, padding="same"), SEQUENCES),
    (layers.Dense(3, activation="relu"), ROWS),
    (layers.Dense(3, use_bias=False), SEQUENCES),
    (layers.Flatten(), IMAGES),
    (layers.Reshape((7, 10)), IMAGES),
    (layers.MaxPooling2D((2, 3), padding="same"), IMAGES),
    (layers.MaxPooling1D(2), SEQUENCES),
    (layers.AveragePooling2D((3, 2), strides=1, padding="same"), IMAGES),
    (layers.AveragePooling1D(3, strides=2), SEQUENCES),
    (layers.GlobalMaxPooling2D(), IMAGES),
    (layers.GlobalMaxPooling1D(), SEQUENCES),
    (layers.GlobalAveragePooling2D(keepdims=True), IMAGES),
    (layers.GlobalAveragePooling1D(), SEQUENCES),
    (layers.UpSampling2D((2, 3)), IMAGES),
    (layers.UpSampling2D((2, 1), interpolation="bilinear"), IMAGES),
    (layers.UpSampling1D(3), SEQUENCES),
    (layers.BatchNormalization(), IMAGES),
    (layers.BatchNormalization(center=False, scale=False), ROWS),
    (layers.ReLU(max_value=1.0, negative_slope=0.5, threshold=0.25), ROWS),
    (layers.LeakyReLU(0.1), ROWS),
    (layers.ELU(0.5), ROWS),
    (layers.Softmax(), ROWS),
    (layers.Activation("silu"), IMAGES),
    (layers.Activation("linear"), ROWS),
    (layers.Identity(), ROWS),
    (layers.ActivityRegularization(0.1), ROWS),
    (layers.Dropout(0.5), ROWS),
    (layers.SpatialDropout2D(0.5), IMAGES),
    (layers.SpatialDropout1D(0.5), SEQUENCES),
    (layers.GaussianDropout(0.5), ROWS),
    (layers.GaussianNoise(0.5), ROWS),
    (layers.ZeroPadding2D(((1, 2), (0, 3))), IMAGES),
    (layers.Cropping2D(((1, 0), (2, 1))), IMAGES),
    (layers.Rescaling(0.5, offset=-1), IMAGES),
    (layers.Rescaling([0.5, 2.0], offset=[1.0, 0.0]), IMAGES),
]


def numbers(layer, shape):
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape).astype(np.float32)
    layer.build(shape)
    for weight in layer.weights:
        low = 0.5 if "variance" in weight.name else -1.0
        weight.assign(rng.uniform(low, 1.5, weight.shape).astype(np.float32))
    return x


def tape_gradients(layer, x, dy, training=False):
    x = mc.Variable(x)
    with mc.GradientTape() as tape:
        y = layer(x, training=training)
    return tape.gradient(
        y, [x, *layer.trainable_variables], output_gradients=dy,
        unconnected_gradients="zero",
    )  # fmt: skip


def last_record(e, **choice):
    stage = {"stage": e.choices["stage"][-1]} if "stage" in e.choices else {}
    return e.record(**stage, **choice)


@pytest.mark.parametrize(
    ("layer", "shape"), CASES, ids=[f"{type(c[0]).__name__}{i}" for i, c in enumerate(CASES)]
)
def test_layers_add_up(layer, shape):
    x = numbers(layer, shape)
    y = layer(x).numpy()
    dy = np.random.default_rng(2).normal(size=y.shape).astype(np.float32)
    e = mc.explain(layer, x, output_gradients=dy)
    json.loads(e.json())
    record = last_record(e, direction="forward")
    expected = y.reshape(record.result.shape)
    check_record(record, expected, rel=1e-4)
    dx, *weights = tape_gradients(layer, x, dy)
    first = e.record(direction="gradient of x")
    check_record(first, np.asarray(dx).reshape(first.result.shape), rel=1e-3)
    given = [r for r in e.records if r.choice.get("kernel") != "turned by 180°"]
    found = [r.result for r in given if r.result.name in ("dkernel", "dbias")]
    if isinstance(layer, layers.BatchNormalization):
        found = [r.result for r in given if r.result.name in ("dgamma", "dbeta")][::-1]
    assert len(found) == len(weights)
    for panel, truth in zip(found, weights, strict=True):
        shown = panel.values.reshape(truth.shape)
        np.testing.assert_allclose(shown, truth.numpy(), rtol=1e-3, atol=1e-4)


def test_every_class_of_the_table_is_tried():
    tried = {type(layer) for layer, _ in CASES} | {layers.InputLayer}
    assert tried == set(STAGES)


def test_batch_normalization_in_training():
    layer = layers.BatchNormalization()
    x = numbers(layer, IMAGES)
    dy = np.random.default_rng(2).normal(size=x.shape).astype(np.float32)
    before = layer.moving_mean.numpy().copy()
    e = mc.explain(layer, x, training=True, output_gradients=dy)
    assert np.array_equal(before, layer.moving_mean.numpy())
    dx, dgamma, dbeta = tape_gradients(layer, x, dy, training=True)
    check_record(e.record(direction="gradient of x"), dx, rel=1e-3)
    check_record(e.record(direction="gradient of gamma"), dgamma, rel=1e-3)
    check_record(e.record(direction="gradient of beta"), dbeta, rel=1e-3)
    check_record(e.record(), layer(x, training=True), rel=1e-3)


@pytest.mark.parametrize("kind", MERGING)
def test_merging_layers_add_up(kind):
    layer = kind()
    rng = np.random.default_rng(4)
    count = 2 if kind is layers.Subtract else 3
    arrays = [rng.integers(-2, 3, (1, 3, 4, 2)).astype(np.float32) for _ in range(count)]
    dy = rng.normal(size=arrays[0].shape).astype(np.float32)
    e = mc.explain(layer, arrays, output_gradients=dy)
    variables = [mc.Variable(a) for a in arrays]
    with mc.GradientTape() as tape:
        y = layer(variables)
    check_record(e.record(), y.numpy(), rel=1e-4)
    found = tape.gradient(y, variables, output_gradients=dy)
    for i, truth in enumerate(found):
        check_record(e.record(direction=f"gradient of x{i}"), truth.numpy(), rel=1e-4)


def test_layers_that_cannot_be_explained_are_told():
    x = np.ones((1, 4, 6, 2), np.float32)
    with pytest.raises(ArgumentError, match=r"is a LayerNormalization, which cannot"):
        mc.explain(layers.LayerNormalization(), x)
    with pytest.raises(ArgumentError, match="activation 'glu'"):
        mc.explain(layers.Activation("glu"), x)
    with pytest.raises(ArgumentError, match="draws random numbers in training"):
        mc.explain(layers.Dropout(0.5), x, training=True)
    with pytest.raises(ShapeError, match="only inputs of one shape"):
        mc.explain(layers.Add(), [x, x[:, :1]])
    with pytest.raises(ArgumentError, match="a list of at least two"):
        mc.explain(layers.Add(), x)
    with pytest.raises(ArgumentError, match=r"explain\(layer, x\)"):
        mc.explain(layers.ReLU(), x, x)

    class Mine(layers.Conv2D):
        def call(self, inputs, training=False):
            return super().call(inputs) * 2

    with pytest.raises(ArgumentError, match="is a Mine"):
        mc.explain(Mine(2, 3), x)


def course_encoder():
    """The notebook's autoencoder: 28x28 to a code of two numbers and back."""
    return mc.Sequential([
        mc.Input((28, 28, 1)),
        layers.Conv2D(32, 3, 2, "same", activation="relu", name="a"),
        layers.Conv2D(64, 3, 2, "same", activation="relu", name="b"),
        layers.Conv2D(2, 7, name="code"),
        layers.Conv2DTranspose(64, 7, activation="relu", name="c"),
        layers.Conv2DTranspose(1, 4, 4, "same", name="d"),
    ])  # fmt: skip


def test_a_model_is_a_chain_of_shapes_and_receptive_fields():
    slide = {e["id"]: e for e in slide_examples()}
    model = course_encoder()
    chain = mc.explain(model, np.zeros((1, 28, 28, 1)))
    shapes = [list(r.output.shape[1:]) for r in chain.rows[:3]]
    assert shapes == slide["cae_encoder_shapes"]["expected"][1:]
    fields = [r.field and r.field[0] for r in chain.rows[:3]]
    assert fields == [*slide["cae_receptive_field"]["expected"][:2], None]  # 31 of 28: all of it
    text = str(chain)
    assert "7 x 7" in text
    assert "all" in text
    assert "(1, 7, 7, 64)" in text


def test_receptive_fields_are_where_gradients_come_from():
    model = mc.Sequential([
        mc.Input((24, 28, 1)),
        layers.Conv2D(2, (3, 2), (2, 1), "same", name="a"),
        layers.MaxPooling2D((1, 2), name="b"),
        layers.Conv2D(2, (2, 3), dilation_rate=(1, 2), name="c"),
        layers.Conv2DTranspose(1, (3, 4), 2, name="d"),
        layers.Activation("tanh", name="e"),
    ])  # fmt: skip
    x = np.random.default_rng(3).normal(size=(1, 24, 28, 1)).astype(np.float32)
    chain = mc.explain(model, x)
    tensor = mc.Variable(x)
    for row in chain.rows:
        if row.name == "b":
            continue  # a maximum sends its gradient to one pixel only
        until = mc.Model(model.inputs, model.get_layer(row.name).output)
        largest = [0, 0]
        for h, w in np.ndindex(*row.output.shape[1:3]):
            with mc.GradientTape() as tape:
                y = until(tensor)
                one = y[0, h, w, 0]
            used = np.argwhere(tape.gradient(one, tensor).numpy()[0, :, :, 0])
            if len(used):
                spans = used.max(axis=0) - used.min(axis=0) + 1
                largest = [max(a, int(b)) for a, b in zip(largest, spans, strict=True)]
        if row.name == "a":
            assert tuple(largest) == row.field
        assert all(a <= b for a, b in zip(largest, row.field, strict=True)), row.name


def test_layers_of_a_model_are_opened_with_the_gradient_that_reaches_them():
    model = course_encoder()
    x = np.random.default_rng(5).normal(size=(1, 28, 28, 1)).astype(np.float32)
    chain = mc.explain(model, x)
    code = chain.open("code", max_terms=10_000)
    after = mc.Model(model.get_layer("c").input, model.outputs)
    middle = mc.Variable(chain.rows[2].output)
    with mc.GradientTape() as tape:
        y = after(middle)
    dy = tape.gradient(y, middle).numpy()
    check_record(code.record(), chain.rows[2].output, rel=1e-3)
    bias = code.record(direction="gradient of bias")
    np.testing.assert_allclose(bias.result.values, dy.sum(axis=(0, 1, 2)), rtol=1e-4)


def test_a_large_layer_is_opened_in_its_middle():
    chain = mc.explain(course_encoder(), np.zeros((1, 28, 28, 1)))
    record = chain.open("b").record()
    assert "Shown: rows" in record.notes[0]
    assert record.result.values.size < chain.rows[1].output.size
    assert chain.open("b", window=((0, 1), (0, 2), (3, 4))).record().result.values.size == 2
    with pytest.raises(ArgumentError, match="has no layer 'z'"):
        chain.open("z")
    with pytest.raises(TooLargeError):
        chain.open("code", max_terms=100)


def test_models_with_several_ways_and_shared_layers():
    a = mc.Input((6, 8, 2))
    conv = layers.Conv2D(2, 3, padding="same", name="conv")
    twice = conv(conv(a))
    out = layers.Flatten()(twice + a)
    model = mc.Model(a, out)
    chain = mc.explain(model, np.ones((1, 6, 8, 2)))
    assert [r.name for r in chain.rows][:2] == ["conv", "conv, call 2"]
    assert chain.rows[1].field == (5, 5)
    assert chain.rows[2].field == (5, 5)
    assert chain.rows[3].field is None
    check_record(chain.open("conv, call 2").record(), chain.rows[1].output, rel=1e-3)


def test_a_subclass_without_a_chain_is_told():
    class Mine(mc.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(2, 3)

        def call(self, inputs, training=False):
            return self.conv(inputs)

    with pytest.raises(ArgumentError, match="in its own way"):
        mc.explain(Mine(), np.ones((1, 5, 6, 1)))
    with pytest.raises(ArgumentError, match="when opening one of its layers"):
        mc.explain(course_encoder(), np.ones((1, 28, 28, 1)), window=((0, 1), (0, 1)))


@pytest.fixture
def chain_page(open_page):
    x = np.random.default_rng(6).random((1, 28, 28, 1))
    return open_page(mc.explain(course_encoder(), x).html())


def test_the_page_of_a_model_opens_one_layer_at_a_time(chain_page):
    page = chain_page
    rows = page.locator(".chain tr").all_inner_texts()
    assert len(rows) == 6
    assert "7 × 7 × 64" in rows[2]
    assert "18,496" in rows[2]
    for name in "abcd":
        button = page.get_by_role("button", name=name, exact=True)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator(".chain [aria-pressed=true]").count() == 1
        until(page, f"location.hash.includes('layer={name}')")
        equation = page.text_content(".sum .equation").replace("×", "*").replace("−", "-")
        label, value, shown = read(equation)
        assert label.startswith("y[0,")
        assert abs(value - shown) < 1e-4


def test_the_page_of_a_model_is_linked_to_a_layer_and_fits_a_phone(open_page, axe):
    html = mc.explain(course_encoder(), np.ones((1, 28, 28, 1))).html()
    page = open_page(html, "#step=2&layer=c", viewport={"width": 390, "height": 800})
    pressed = page.locator(".chain [aria-pressed=true]")
    assert pressed.inner_text() == "c"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate(axe)
    found = page.evaluate(f"{AUDIT}.then((r) => r.violations.map((v) => [v.id, v.nodes[0].html]))")
    assert found == []


def test_a_model_is_saved_as_page_and_table(tmp_path):
    chain = mc.explain(course_encoder(), np.ones((1, 28, 28, 1)))
    chain.save(tmp_path / "a.html")
    chain.save(tmp_path / "a.txt")
    assert "<!doctype html>" in (tmp_path / "a.html").read_text()
    assert "18,496" in (tmp_path / "a.txt").read_text()
    assert chain._repr_html_().startswith("<iframe")
    with pytest.raises(ArgumentError, match=r"\.html, \.txt"):
        chain.save(tmp_path / "a.doc")


def test_the_page_of_a_model_is_small_in_a_notebook(open_page):
    chain = mc.explain(course_encoder(), np.random.default_rng(0).random((1, 28, 28, 1)))
    frame = chain._repr_html_()
    assert len(frame) < 150_000 < len(chain.html())
    # Most layers are open; one has 3136 products for each of its numbers, one many channels.
    shown = open_page(f"<title>notebook</title>{frame}").frames[1]
    names = [b.inner_text() for b in shown.query_selector_all("td button")]
    assert names == ["a", "b", "c"]
    for name in ("code", "d"):
        assert f"Too large for a notebook; .open('{name}') shows it." in shown.inner_text("table")
    # The frame is as high as what it shows, or as a large screen.
    height = shown.evaluate("document.body.offsetHeight")
    frame_height = shown.evaluate("window.frameElement.offsetHeight")
    assert frame_height == pytest.approx(min(height + 20, 1200), abs=2)


def test_what_is_explained_is_short_at_the_prompt():
    e = mc.explain(mc.cross_correlate2d, [[1, 2, 3], [4, 5, 6]], [[1, 0]])
    assert repr(e) == str(e)
    assert "y[0,0] = 1*1 + 2*0 = 1" in repr(e)
    chain = mc.explain(course_encoder(), np.ones((1, 28, 28, 1)))
    assert repr(chain) == str(chain)
    assert len(repr(chain)) < 2000
    assert len(repr(mc.explain.implementations("conv2d"))) < 100


def test_user_text_stays_text_in_the_page_of_a_model(open_page):
    name = "<img src=x onerror=alert(1)>"
    model = mc.Sequential([mc.Input((4, 5, 1)), layers.ReLU(name=name)], name="</script><b>m</b>")
    page = open_page(mc.explain(model, np.ones((1, 4, 5, 1))).html())
    assert page.locator("img, b").count() == 0
    assert page.locator("h1").inner_text() == "</script><b>m</b>"
    assert page.get_by_role("button", name=name, exact=True).count() == 1


def test_numbers_in_a_drawn_network_are_part_of_its_formulas():
    a = mc.Input((4, 6, 2))
    model = mc.Model(a, mc.ops.maximum(1 - a * 2, 0.5) / 3)
    x = np.random.default_rng(9).normal(size=(1, 4, 6, 2)).astype(np.float32)
    chain = mc.explain(model, x)
    assert [row.field for row in chain.rows] == [(1, 1)] * 4
    for row in chain.rows[:3]:
        e = chain.open(row.name)
        check_record(e.record(), row.output, rel=1e-4)
        tensor = mc.Variable(row.inputs[0])
        with mc.GradientTape() as tape:
            y = row.layer([tensor])
        truth = tape.gradient(y, tensor, output_gradients=row.dy)
        check_record(e.record(direction="gradient of x0"), truth.numpy(), rel=1e-4)
    assert "y[...] = 1 - x0[...]" in chain.open(chain.rows[1].name).text()
    with pytest.raises(ArgumentError, match=r"is the operation ops\.divide, which cannot"):
        chain.open(chain.rows[3].name)


def test_a_model_inside_a_model_shows_its_layers():
    inner = mc.Sequential(
        [mc.Input((8, 9, 1)), layers.Conv2D(2, 3, name="conv"), layers.ReLU(name="relu")],
        name="inner",
    )
    a = mc.Input((8, 9, 1))
    model = mc.Model(a, layers.Flatten(name="flat")(inner(a)))
    x = np.random.default_rng(2).normal(size=(1, 8, 9, 1)).astype(np.float32)
    chain = mc.explain(model, x)
    assert [row.name for row in chain.rows] == ["inner/conv", "inner/relu", "flat"]
    assert [row.field for row in chain.rows] == [(3, 3), (3, 3), None]
    np.testing.assert_allclose(chain.rows[-1].output, model(x).numpy(), rtol=1e-5)
    check_record(chain.open("inner/conv").record(), chain.rows[0].output, rel=1e-3)


def test_sequences_have_receptive_fields_and_formulas_of_one_axis():
    model = mc.Sequential([
        mc.Input((30, 4)),
        layers.Conv1D(64, 5, padding="causal", name="a"),
        layers.MaxPooling1D(2, name="b"),
        layers.Conv1D(64, 3, dilation_rate=2, name="c"),
        layers.GlobalAveragePooling1D(name="d"),
    ])  # fmt: skip
    chain = mc.explain(model, np.random.default_rng(1).random((2, 30, 4)))
    assert [row.field for row in chain.rows] == [(5,), (6,), (14,), None]
    assert [row.seen for row in chain.rows] == ["5", "6", "14", "all"]
    record = chain.open("a").record()
    assert record.formula == (
        "y[n,ow,f] = sum over j,c of x[n, ow*S - P + j*D, c] * kernel[j,c,f] + bias[f]"
    )
    assert not any("Height" in note or "Width" in note for note in record.notes)
    assert "of y (2 x 30 x 64)" in record.notes[0]
    assert any(note.startswith("Length: floor((30 + 4 + 0") for note in record.notes)


def test_a_receptive_field_is_never_larger_than_the_input():
    model = mc.Sequential([mc.Input((9, 4, 1)), layers.Conv2D(1, 5, padding="same", name="a")])
    assert mc.explain(model, np.ones((1, 9, 4, 1))).rows[0].field == (5, 4)


def test_a_large_dense_layer_is_opened_in_a_part():
    model = mc.Sequential(
        [mc.Input((20, 30, 4)), layers.Flatten(name="flat"), layers.Dense(128, name="dense")]
    )
    chain = mc.explain(model, np.random.default_rng(4).random((12, 20, 30, 4)))
    for name in ("flat", "dense"):
        assert chain.open(name).record().notes[0].startswith("Shown: row 0, columns 0 to ")


@pytest.mark.parametrize(
    ("x", "told"),
    [
        ([np.ones((1, 3, 4, 1))], r"has 2 inputs \(a, b\)"),
        ({"a": 1, "c": 2}, "names 'a', 'c', but the model has 'a', 'b'"),
        ([np.ones((1, 3, 4, 1)), "b"], "str cannot be used"),
        ([np.ones((0, 3, 4, 1)), np.ones((0, 3, 4, 1))], "holds no numbers"),
    ],
)
def test_what_does_not_enter_a_model_is_told(x, told):
    a, b = mc.Input((3, 4, 1), name="a"), mc.Input((3, 4, 1), name="b")
    with pytest.raises(ArgumentError, match=told):
        mc.explain(mc.Model([a, b], a + b), x)


def test_a_layer_that_cannot_be_opened_says_so_in_one_line(open_page):
    a = mc.Input((4, 6, 2))
    model = mc.Model(a, layers.Concatenate(name="both")([a, a / 2]))
    page = open_page(mc.explain(model, np.ones((1, 4, 6, 2))).html())
    told = [
        "Not shown: there is no explanation of the operation ops.divide yet.",
        "Not shown: there is no explanation of Concatenate yet.",
    ]
    assert page.locator(".reason").all_inner_texts() == told
