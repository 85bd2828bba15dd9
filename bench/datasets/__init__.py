"""What is published about data sets: counts, layouts, licences, addresses, where copies are.

Reads no pixels and imports neither torch, numpy nor Pillow; of bench only errors and paths.
"""
