"""Files that are replaced as a whole or not at all."""

import os
import stat
import sys
from pathlib import Path

import pytest

from minicnn.callbacks import ModelCheckpoint
from minicnn.errors import BackendError, MinicnnError, OutputError
from minicnn.files import make_folder, replacing
from minicnn.layers import Dense, Input
from minicnn.models import Sequential, load_model


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_is_written(tmp_path):
    target = tmp_path / "a.txt"
    with replacing(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        assert temporary != target
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(tmp_path) == ["a.txt"]


def test_a_path_may_be_a_string(tmp_path):
    with replacing(str(tmp_path / "a.txt")) as temporary:
        temporary.write_text("whole")
    assert names(tmp_path) == ["a.txt"]


def test_an_old_file_is_replaced_at_the_end_alone(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [KeyError("k"), KeyboardInterrupt(), MemoryError()])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_failing_system_is_worded_and_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with (
        pytest.raises(OutputError, match=r"cannot write .*a\.txt: No space left on device"),
        replacing(target),
    ):
        raise OSError(28, "No space left on device")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_exception_makes_no_new_file(tmp_path):
    with pytest.raises(KeyError), replacing(tmp_path / "a.txt"):
        raise KeyError
    assert names(tmp_path) == []


def test_a_failure_of_the_last_step_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail(self, other):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match="Input/output error"), replacing(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_place_that_is_no_folder_is_refused(tmp_path, folder):
    (tmp_path / "file").write_text("a file")
    target = tmp_path / folder / "a.txt"
    with (
        pytest.raises(OutputError, match=r"cannot write .*a\.txt: .*; choose a folder that exists"),
        replacing(target),
    ):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["file"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "a").mkdir()
    with (
        pytest.raises(OutputError, match="cannot write"),
        replacing(tmp_path / "a") as temporary,
    ):
        temporary.write_text("new")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").is_dir()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_the_file_has_the_usual_permissions(tmp_path):
    mask = os.umask(0o027)
    try:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("whole")
        assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)


def test_the_errors_are_of_the_families_that_callers_catch():
    assert issubclass(OutputError, MinicnnError)
    assert issubclass(OutputError, OSError)


def test_a_folder_is_made_with_its_parents(tmp_path):
    folder = make_folder(str(tmp_path / "a" / "b"))
    assert folder == tmp_path / "a" / "b"
    assert folder.is_dir()
    (folder / "kept.txt").write_text("kept")
    assert make_folder(folder) == folder
    assert names(folder) == ["kept.txt"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(OutputError, match=r"the folder .*a: it is a file; choose a folder"):
        make_folder(tmp_path / "a")
    with pytest.raises(OutputError, match=r"the folder .*b: Not a directory; choose"):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a").read_text() == "a file"


def test_without_h5py_a_sentence_says_so_before_anything_is_done(tmp_path, monkeypatch):
    model = Sequential([Input((3,)), Dense(2)])
    monkeypatch.setitem(sys.modules, "h5py", None)
    whole, weights = tmp_path / "net.keras", tmp_path / "net.weights.h5"
    whole.write_bytes(b"PK an older file")
    weights.write_bytes(b"\x89HDF\r\n\x1a\n an older file")
    calls = [
        (whole, model.save),
        (whole, model.load_weights),
        (whole, load_model),
        (whole, ModelCheckpoint),
        (weights, model.save_weights),
        (weights, model.load_weights),
        (weights, lambda path: ModelCheckpoint(path, save_weights_only=True)),
    ]
    for path, call in calls:
        with pytest.raises(
            BackendError, match=rf"{path.name}: .* need h5py, which is not installed"
        ):
            call(path)
    assert whole.read_bytes() == b"PK an older file"
    assert weights.read_bytes().endswith(b"an older file")
    assert names(tmp_path) == ["net.keras", "net.weights.h5"]
    model.save_weights(tmp_path / "net.safetensors")
    model.load_weights(tmp_path / "net.safetensors")
