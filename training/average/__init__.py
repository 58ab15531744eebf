"""`rasd average`: one checkpoint whose weights are the mean of several.

Imports `labelled` and `model`.
"""
