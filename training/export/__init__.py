"""`rasd export`: a checkpoint to a calibrated int8 bundle with its card.

Imports `labelled`, `model` and `evaluate`.
"""
