"""Worker processes leave Ctrl-C to the process that started them."""

import signal
import subprocess
import sys
import threading

import pytest

from skbcnn._worker_processes import interrupts_kept_here

ASK = [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"]


@pytest.mark.usefixtures("interruptible")
def test_processes_that_are_started_in_the_block_ignore_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with interrupts_kept_here():
        assert subprocess.check_output(ASK, text=True) == "True\n"
    assert signal.getsignal(signal.SIGINT) is before
    assert subprocess.check_output(ASK, text=True) == "False\n"


def test_in_another_thread_nothing_is_changed():
    found = []

    def look():
        with interrupts_kept_here():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
