"""Many cells: where they run and in what order.

What happens within one cell belongs to `engine`.
"""
