"""`python -m toymodels` is the command line."""

from toymodels.cli import main

main()
