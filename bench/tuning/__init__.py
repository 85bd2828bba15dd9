"""Hyper-parameters chosen on tasks whose labels may be seen (`bench tune`).

`space` is what a suite's [search] says, `sampler` what to try next, `trials` what the records know, `tune` the search itself,
`row` its outcome in the suite's file.
"""
