"""Downloads, from a server on this machine: progress, checksums, archives, and what goes wrong."""

import hashlib
import io
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from typer.testing import CliRunner

from minicnn import datasets
from minicnn.cli import app
from minicnn.datasets import DATASETS, mnist, nuclei
from minicnn.errors import ArgumentError, DataError, OutputError


def digits_file():
    buffer = io.BytesIO()
    x, y = datasets.render_digits(500)  # long enough to come in several pieces
    np.savez(buffer, x_train=x[:490], y_train=y[:490], x_test=x[490:], y_test=y[490:])
    return buffer.getvalue()


def archive(folder=""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        images, masks = datasets.render_nuclei(1, (12, 18))
        for kind, pixels in (("images", images[0]), ("masks", masks[0] * 255)):
            png = io.BytesIO()
            from PIL import Image

            Image.fromarray(pixels[..., 0]).save(png, "PNG")
            file.writestr(f"{folder}one/{kind}/one.png", png.getvalue())
        file.writestr("__MACOSX/junk", b"junk")
    return buffer.getvalue()


@pytest.fixture
def server():
    """A server of the files in its dictionary, which counts what it was asked for."""
    files, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.files, running.asked = files, asked
        running.address = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def offer(server, monkeypatch, tmp_path):
    """Offer a file at a data set's address, to a machine without data."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MINICNN_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def at(name, path, content, sha256="right"):
        if content is not None:
            server.files[path] = content
        if sha256 == "right":
            sha256 = hashlib.sha256(content or b"").hexdigest()
        entry = replace(DATASETS[name], address=server.address + path, sha256=sha256)
        monkeypatch.setitem(DATASETS, name, entry)
        return tmp_path / "minicnn" / entry.folder

    return at


def test_a_file_comes_whole_with_progress_and_only_once(offer, server):
    content = digits_file()
    folder = offer("mnist", "/mnist.npz", content)
    told = []
    assert datasets.download("mnist", progress=lambda *sizes: told.append(sizes)) == folder
    assert (folder / "mnist.npz").read_bytes() == content
    done = [size for size, _ in told]
    assert len(set(done)) > 3
    assert done == sorted(done)
    assert told[-1] == (len(content), len(content))
    assert datasets.download("mnist") == folder
    assert server.asked == ["/mnist.npz"]
    assert [p.name for p in folder.parent.iterdir()] == ["mnist"]


def test_a_wrong_checksum_leaves_nothing(offer):
    folder = offer("mnist", "/mnist.npz", digits_file(), sha256="0" * 64)
    with pytest.raises(DataError, match=r"has not the checksum 0{64}; nothing was kept"):
        datasets.download("mnist")
    assert list(folder.parent.iterdir()) == []


def test_archives_are_unpacked_without_their_outer_folder(offer):
    for place in ("", "stage1_train/"):
        folder = offer("nuclei", "/nuclei.zip", archive(place), sha256=None)
        datasets.download("nuclei")
        assert sorted(p.name for p in folder.iterdir()) == ["one"]
        images, masks = nuclei.load_data()
        expected = datasets.render_nuclei(1, (12, 18))
        np.testing.assert_array_equal(images, expected[0])
        np.testing.assert_array_equal(masks, expected[1])
        for path in sorted(folder.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        folder.rmdir()


def test_damaged_archives_are_refused(offer):
    folder = offer("nuclei", "/nuclei.zip", archive()[:-30], sha256=None)
    with pytest.raises(DataError, match="is a damaged archive"):
        datasets.download("nuclei")
    assert list(folder.parent.iterdir()) == []


def test_keras_way_to_load_digits_fetches_them(offer, capsys):
    offer("mnist", "/mnist.npz", digits_file())
    (x_train, y_train), (x_test, _) = mnist.load_data()
    assert (x_train.shape, x_test.shape) == ((490, 28, 28), (10, 28, 28))
    assert y_train[:3].tolist() == [0, 1, 2]
    assert "fetching the MNIST digits (11 MB) from http://127.0.0.1" in capsys.readouterr().err
    mnist.load_data()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["missing", "no server"])
def test_what_cannot_be_reached_is_told_in_one_sentence(offer, server, monkeypatch, kind):
    offer("mnist", "/mnist.npz", None)
    if kind == "no server":
        entry = replace(DATASETS["mnist"], address="http://127.0.0.1:1/mnist.npz")
        monkeypatch.setitem(DATASETS, "mnist", entry)
    reason = "Not Found" if kind == "missing" else "ConnectionError"
    with pytest.raises(DataError) as raised:
        mnist.load_data()
    said = str(raised.value)
    assert f"cannot be reached ({reason}); set MINICNN_DATA" in said
    assert said.endswith("`minicnn.datasets.render_digits`, which needs no data.")


def test_what_has_no_address_is_not_downloaded():
    with pytest.raises(ArgumentError, match=r"landcover has no address.*render_landcover"):
        datasets.download("landcover")


def test_a_cache_that_cannot_be_written_is_named(offer, tmp_path):
    offer("mnist", "/mnist.npz", digits_file())
    (tmp_path / "minicnn").write_text("a file")
    with pytest.raises(OutputError, match="minicnn"):
        datasets.download("mnist")


# The command.


def run(*arguments):
    return CliRunner().invoke(app, ["datasets", *arguments])


def test_the_list_names_every_data_set(offer, tmp_path):
    folder = tmp_path / "minicnn" / "signs"
    folder.mkdir(parents=True)
    for name in ("train_signs.h5", "test_signs.h5"):
        (folder / name).touch()
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["datasets"])
    assert result.exit_code == 0, result.output
    for entry in DATASETS.values():
        block = result.output.partition(f"│ {entry.name} ")[2].partition("├")[0]
        for text in (entry.title, entry.address or entry.home, entry.licence, entry.stand_in):
            assert text in block
        assert entry.address is None or (entry.sha256 or "no SHA-256 is published") in block
        assert (f"here: {folder}" in block) == (entry.name == "signs")


def test_the_command_downloads(offer):
    folder = offer("nuclei", "/nuclei.zip", archive(), sha256=None)
    result = run("download", "nuclei")
    assert result.exit_code == 0, result.output
    assert "no checksum is published" in result.output
    assert f"nuclei: {folder}" in result.output
    assert (folder / "one/images/one.png").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [("signs", "has no address"), ("mnst", "did you mean 'mnist'"), ("mnist", "cannot be reached")],
)
def test_the_command_words_what_is_wrong(offer, name, message):
    offer("mnist", "/mnist.npz", None)
    result = run("download", name)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
