"""`python -m bench`."""

import os
import sys
from pathlib import Path

# Python puts the working folder first on its path, where any folder or file may have the name of a
# package (`methods` with an `__init__.py`, `tables.py`) and would be imported in its place
if sys.path[0] == os.getcwd() != str(Path(__file__).resolve().parents[1]):
    del sys.path[0]

from bench.cli.app import main

main()
