"""Files in and out: sources, compression, encoding, rows, documents, and the writers of records.

A format that is read is one file that yields rows. Imports only `errors`, `records`, `labels`,
`terminal` and `regular_file`; anything may import it.
"""
