"""What stands between a fork and a program: waits for one byte, then becomes the program.

Run by path, as `python -I -S stub.py GO FAULT PARENT LC_CTYPE PATH ARGV…`, so that nothing of the program's
environment means anything to it. Its parent writes `G` into the pipe GO once it stands in the ledger;
if the parent dies before that, the pipe ends, and so does this process. It imports nothing of ours.
"""

import _signal  # type: ignore[import-not-found]  # `signal` itself takes as long as all the rest here
import os
import sys

PR_SET_PDEATHSIG = 1
NEVER_STARTED = 125
"""Exit status of a stub that was not given its go."""


def main() -> None:
    go, fault, parent = map(int, sys.argv[1:4])
    locale, path, *argv = sys.argv[4:]
    _die_with_parent()
    # Whoever died before the line above is not noticed by it.
    if os.getppid() != parent or os.read(go, 1) != b"G":
        os._exit(NEVER_STARTED)
    os.close(go)
    os.set_inheritable(fault, False)
    # Python ignores these, and what is ignored stays so in the program.
    for number in (_signal.SIGPIPE, getattr(_signal, "SIGXFSZ", None)):
        if number is not None:
            _signal.signal(number, _signal.SIG_DFL)
    environment = dict(os.environb)
    # Python sets it in the plain C locale; the program must see what it was given.
    environment.pop(b"LC_CTYPE", None)
    if locale != "-":
        environment[b"LC_CTYPE"] = os.fsencode(locale[1:])
    try:
        os.execve(path, argv, environment)  # noqa: S606 - that is what we are for
    except OSError as error:
        os.write(fault, str(error.errno).encode())
    os._exit(127)


def _die_with_parent() -> None:
    """Where the system can: be killed when the thread that forked us ends. It outlives the exec."""
    if sys.platform != "linux":
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(_signal.SIGKILL), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass  # a Python without ctypes: the next start of ours finds what is left


if __name__ == "__main__":
    main()
