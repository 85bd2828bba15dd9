"""What was run: cells and their keys, the record files, and which record counts for a cell.

Nothing here trains or renders, and nothing imports torch.
"""
