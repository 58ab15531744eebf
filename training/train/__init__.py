"""`rasd train`: labelled sentences to a checkpoint and a bundle.

Imports `labelled`, `model`, `evaluate` and `export`.
"""
