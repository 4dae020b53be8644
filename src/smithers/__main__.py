"""`python -m smithers` is the command `smithers`."""

from smithers.cli import main

main()
