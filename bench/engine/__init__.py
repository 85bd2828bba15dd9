"""One cell -> one record: its task is built, trained, timed and measured; all of it is recorded.

Nothing here prints (a run gives events), and nothing here knows of other cells or starts processes.
"""
