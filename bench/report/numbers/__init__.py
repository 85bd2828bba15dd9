"""Records to numbers: accuracies, gains, verdicts, costs.

No sentence and no format lives here.
"""
