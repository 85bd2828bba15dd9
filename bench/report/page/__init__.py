"""Numbers to a page of titles, grids of short texts, notes and references, in no file format yet.

No statistic is computed here (`numbers` does that), and nothing is escaped (`write` does that).
"""
