"""Hyper-parameters chosen on tasks whose labels may be seen (`bench tune`).

`sampler` says what to try next, `trials` what the records know, `tune` is the search itself, `row`
writes its outcome to the suite's file. Nothing here prints, and cells are run by an
executor that is passed in.
"""
