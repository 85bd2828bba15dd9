"""What is published about data sets: counts, layouts, licences, addresses.

No pixels are read here, and nothing imports torch.
"""
