"""Files in and out: sources, compression, encoding, rows, documents, and the writers of records.

A format that is read is one file that yields rows. Imports only `errors`, `records` and `labels`;
anything may import it.
"""
