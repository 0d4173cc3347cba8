"""The word to who waits for the compiler."""

import time

import pytest

from minicnn.runtime import notice


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(notice._Compiling, "said", False)


def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_long_work_is_explained_once(monkeypatch, capsys):
    monkeypatch.setattr(notice, "PATIENCE", 0.02)
    for _ in range(2):
        with notice.while_compiling():
            work(0.2)
    assert capsys.readouterr().err == f"{notice.TEXT}\n"


def test_where_nothing_is_kept_the_notice_says_so(monkeypatch, capsys):
    monkeypatch.setattr(notice, "PATIENCE", 0.02)
    monkeypatch.setattr(notice._Compiling, "kept", True)
    notice.not_kept()
    with notice.while_compiling():
        work(0.2)
    assert "in every process: no folder for them can be written" in capsys.readouterr().err


def test_a_display_is_told_instead(monkeypatch, capsys):
    monkeypatch.setattr(notice, "PATIENCE", 0.02)
    told = []
    with notice.told_to(told.append), notice.while_compiling():
        work(0.2)
    assert told == [notice.TEXT]
    assert capsys.readouterr().err == ""


def test_time_is_counted_once_where_one_compilation_needs_another():
    before = notice.seconds()
    began = time.perf_counter()
    with notice.while_compiling():
        time.sleep(0.05)
        with notice.while_compiling():
            time.sleep(0.05)
        assert 0.1 <= notice.seconds() - before <= time.perf_counter() - began
    assert 0.1 <= notice.seconds() - before <= time.perf_counter() - began


def test_what_numba_compiles_is_counted():
    numba = pytest.importorskip("numba")
    import minicnn.kernels.compiled  # noqa: F401  # listens to Numba

    before = notice.seconds()
    numba.njit(lambda x: x + 1)(2.0)
    assert notice.seconds() > before


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
