"""Records and claims -> tables. Pure: no clock, no chance, no torch; the same input gives the same bytes everywhere.

`ledger` sorts the records, `scores` and `aggregate` turn them into numbers, `stats` says what a few seeds can tell; `notes` and
`provenance` find the words, `layout` and `page` put both together, `render` writes Markdown, LaTeX and HTML.
"""
