"""What every method and every suite promises by its mere existence: a new file is tested by itself.

Nothing here may know a method or a suite by its name.
"""
