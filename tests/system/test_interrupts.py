"""Signals that are held back until work is saved."""

import contextlib
import gc
import signal
import threading
import time

import pytest

from jhash.system import interrupts


@pytest.fixture(autouse=True)
def _handlers():
    """Those of a program that has none of its own, and the same after each test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    for number, handler in before.items():
        signal.signal(number, handler)


def kept():
    return "All is kept."


@pytest.mark.parametrize("again", [0, 1])
def test_a_signal_waits_until_the_work_is_saved(capsys, again):
    """SIGTERM may come twice."""
    delivered, saved = [], []
    signal.signal(signal.SIGTERM, lambda number, frame: delivered.append(number))
    handler = signal.getsignal(signal.SIGTERM)

    @interrupts.held(kept)
    def block():
        assert not interrupts.requested()
        interrupts.stop_if_requested()
        for _ in range(1 + again):
            signal.raise_signal(signal.SIGTERM)
        assert interrupts.requested()
        assert not delivered
        saved.append(True)
        interrupts.stop_if_requested()
        saved.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert delivered == [signal.SIGTERM]
    assert saved == [True]
    assert signal.getsignal(signal.SIGTERM) is handler
    assert not interrupts.requested()
    assert capsys.readouterr().err == "jhash: stopped by SIGTERM. All is kept.\n"


def test_ctrl_c_ends_a_block_without_a_place_to_stop_after_it(capsys):
    done = []

    @interrupts.held(kept)
    def block():
        signal.raise_signal(signal.SIGINT)
        done.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == [True]
    assert capsys.readouterr().err == ""


def test_a_second_ctrl_c_stops_at_once(capsys):
    @interrupts.held(kept)
    def block():
        signal.raise_signal(signal.SIGTERM)
        with contextlib.suppress(Exception):
            signal.raise_signal(signal.SIGINT)
        pytest.fail("the second signal was held back")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert capsys.readouterr().err == "jhash: stopped at once. All is kept.\n"


def test_what_may_end_anywhere_ends_at_once(capsys):
    """But not what is within it and may not."""
    trace = []

    @interrupts.held(kept)
    @interrupts.at_once()
    def block():
        try:
            with interrupts.not_at_once():
                signal.raise_signal(signal.SIGINT)
                trace.append("saved")
            trace.append("not reached")
        finally:
            signal.raise_signal(signal.SIGTERM)  # Does not disturb who tidies up.
            trace.append("tidied")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert trace == ["saved", "tidied"]

    @interrupts.held(kept)
    def block():
        with interrupts.at_once():
            pass
        signal.raise_signal(signal.SIGINT)
        trace.append("after")
        with interrupts.at_once():
            trace.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        block()

    @interrupts.held(kept)
    @interrupts.at_once()
    def block():
        signal.raise_signal(signal.SIGINT)
        trace.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert trace == ["saved", "tidied", "after"]
    assert capsys.readouterr().err == "jhash: stopped by Ctrl-C. All is kept.\n" * 3


def test_a_signal_that_python_drops_comes_again():
    """As in JAX's callback of the garbage collector."""
    fired = []

    def callback(*_):
        if not fired:
            fired.append(True)
            signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    try:

        @interrupts.held(kept)
        @interrupts.at_once()
        def block():
            gc.collect()
            assert fired
            for _ in range(200):
                time.sleep(0.01)
            pytest.fail("the signal is lost")

        with pytest.raises(KeyboardInterrupt):
            block()
    finally:
        gc.callbacks.remove(callback)


def test_an_error_is_not_replaced_by_the_signal():
    @interrupts.held(kept)
    def block():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()


def test_ignored_signals_and_other_threads_are_left_alone():
    """As under nohup, and in a program that trains in a thread."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with interrupts.held(kept):
        signal.raise_signal(signal.SIGTERM)
        assert not interrupts.requested()
    seen = []

    def work():
        with interrupts.held(kept), interrupts.at_once(), interrupts.not_at_once():
            seen.append(interrupts.requested())

    with contextlib.suppress(KeyboardInterrupt), interrupts.held(kept):
        signal.raise_signal(signal.SIGINT)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [False]
