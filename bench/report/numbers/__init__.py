"""Records to numbers: accuracies, gains, verdicts, costs.

No sentence and no file format lives here: `page` and `write` have those.
"""
