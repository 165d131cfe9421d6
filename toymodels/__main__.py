"""`toymodels` and `python -m toymodels`: signals are heard before the command line is imported."""
# PYTHON_ARGCOMPLETE_OK

import os
import signal

from toymodels.stopping import watch


def main() -> None:
    heard = watch()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices are small: more threads get in the way
    try:
        from toymodels.cli import main

        main()
    finally:  # all is done, or said: the end of the process, which takes a moment, is left alone
        for number in heard:
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
