"""Ctrl-C ends what the tests start, even where a shell runs the tests in the background and lets them ignore it."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
