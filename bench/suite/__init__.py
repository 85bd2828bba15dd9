"""What is asked and claimed: suites, recipes, presets, published figures, methods as declared.

Only TOML, BibTeX and the source text of methods are read here; nothing may import torch, or know
what was run.
"""
