"""The word to who waits for the compiler."""

import time

import pytest

from minicnn.kernels import notice


def test_a_long_wait_is_explained_once(monkeypatch, capsys):
    monkeypatch.setattr(notice, "PATIENCE", 0.01)
    with notice.while_compiling():
        time.sleep(0.1)
    time.sleep(0.05)
    assert capsys.readouterr().err == f"{notice.TEXT}\n"


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_short_wait_is_not_even_after_an_error(error, monkeypatch, capsys):
    monkeypatch.setattr(notice, "PATIENCE", 0.05)
    try:
        with notice.while_compiling():
            if error:
                raise error
    except ValueError:
        pass
    time.sleep(0.1)
    assert capsys.readouterr() == ("", "")
