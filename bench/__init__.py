"""Benchmark reproduction suite for unsupervised domain adaptation: published numbers beside measured ones."""

__version__ = "0.1.0"
