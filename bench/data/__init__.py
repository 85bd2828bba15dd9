"""From files to batches: published sets and the user's own pictures are found, downloaded, decoded,
cached, resized, streamed and augmented here.

What is known about the sets without reading a pixel lives in `bench.datasets`; networks, training
and anything that prints live elsewhere.
"""
