"""Text before the model: normalising it, and splitting a document into sentences.

Pure functions; imports only `errors` and `records`.
"""
