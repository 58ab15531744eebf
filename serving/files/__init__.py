"""Files in and out: sources, encodings, rows, documents, and the writers of records.

Imports only `errors`, `records` and `labels`; anything may import it.
"""
