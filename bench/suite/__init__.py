"""What is asked and claimed: suites, recipes, presets, published figures, search spaces, methods as declared.

Only TOML, BibTeX and the source text of methods are read here; nothing imports torch.
"""
