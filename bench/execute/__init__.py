"""Many cells: where they run, and how one of them is written as a command line.

What happens within one cell belongs to `engine`; nothing here prints.
"""
