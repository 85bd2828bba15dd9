"""No test waits for ever."""

import signal
import threading

import pytest


def test_waiting_ends_by_itself() -> None:
    """As in any test, only sooner."""
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 300
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    with pytest.raises(TimeoutError, match="this test has not ended"):
        threading.Event().wait(30)
