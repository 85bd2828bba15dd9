"""Numbers to a page: titles, grids of short texts, notes and references, before they are in any file format.

Nothing is computed here that another page could need (`numbers` has that), and nothing is escaped (`write` does that).
"""
