"""`python -m toymodels` is the command line."""

from toymodels.cli import main

if __name__ == "__main__":
    main()
