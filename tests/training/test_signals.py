"""Signals are collected, whatever stops a process; the second acts at once."""

import os
import signal

import pytest

from jaxnets.training.signals import STOPPING, defer_signals


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_collected_and_its_handler_comes_back(number):
    before = signal.getsignal(number)
    with defer_signals() as received:
        os.kill(os.getpid(), number)
        assert received == [number]
    assert signal.getsignal(number) == before


def test_a_broken_pipe_is_nobodys_signal():
    """Any library may write to one: Python raises BrokenPipeError there, and nothing else is stopped."""
    before = signal.getsignal(signal.SIGPIPE)
    with defer_signals() as received:
        assert signal.getsignal(signal.SIGPIPE) == before
        os.kill(os.getpid(), signal.SIGPIPE)
        assert received == []


def test_ctrl_c_twice_stops_at_once_and_says_so():
    with defer_signals() as received:
        os.kill(os.getpid(), signal.SIGINT)
        assert received == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt, match="stopped at once; what was saved is kept"):
            os.kill(os.getpid(), signal.SIGINT)


def test_what_is_ignored_stays_ignored():
    """As nohup asks, and a shell for programs in the background."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with defer_signals() as received:
            os.kill(os.getpid(), signal.SIGHUP)
        assert received == []
    finally:
        signal.signal(signal.SIGHUP, before)
