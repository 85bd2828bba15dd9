"""The command line: one file for each command, `options.py` for what commands share.

Nothing is computed here. Whatever takes long to import (torch, pandas, pydantic, rich) is imported
inside the command that needs it, so that `bench --help` answers at once.
"""
