"""A page to Markdown, LaTeX or HTML: one file for each format, and `render.py`, which picks one.

No number and no sentence is made here, so that the three formats cannot differ in what they say.
"""
