"""`rasd evaluate`: metrics, subgroups, comparison and report.

Imports `labelled`; `train`, `export` and `validate` use its statistics.
"""
