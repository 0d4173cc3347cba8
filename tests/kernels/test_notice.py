"""The word to who waits for the compiler."""

import time

import pytest

from minicnn.kernels import notice


def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_long_work_is_explained_once(monkeypatch, capsys):
    monkeypatch.setattr(notice, "PATIENCE", 0.02)
    with notice.while_compiling():
        work(0.2)
    assert capsys.readouterr().err == f"{notice.TEXT}\n"


def test_waiting_is_no_work(monkeypatch, capsys):
    monkeypatch.setattr(notice, "PATIENCE", 0.2)
    with notice.while_compiling():
        time.sleep(0.5)
    assert capsys.readouterr().err == ""


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
