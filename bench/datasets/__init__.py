"""What is published about data sets: counts, layouts, licences, addresses, where copies are found.

Reads no pixels and imports neither torch, numpy nor Pillow; of bench it needs only `bench.errors`.
"""
