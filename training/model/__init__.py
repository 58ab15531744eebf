"""The classifier that is fine-tuned: encoder, head, checkpoint.

Imports `labelled`; every verb may import it.
"""
