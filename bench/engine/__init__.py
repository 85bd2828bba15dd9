"""One cell in, one record out: the network is built, trained, timed, evaluated and written down.

Nothing here prints, and nothing here knows of other cells.
"""
