"""One cell -> one record: its task is built, trained, timed and measured; all of it is recorded.

A run prints nothing (it gives events), knows of no other cell and starts no process that trains.
"""
