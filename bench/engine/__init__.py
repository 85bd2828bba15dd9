"""One cell -> one record: its task is built, trained, timed and measured, and every step is written.

Nothing here prints (a run gives events), and nothing here knows of other cells or starts processes.
"""
