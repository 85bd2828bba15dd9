"""The command line: one file a command, and one for the screen.

Nothing here computes a result, and torch and pandas are imported inside the commands that need them.
"""
