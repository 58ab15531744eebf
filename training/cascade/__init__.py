"""`rasd cascade`: two bundles made into one, a fast one that hands on what it is unsure of.

Imports `labelled`, `evaluate` and `export.golden`.
"""
