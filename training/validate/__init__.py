"""`rasd validate`: checks configurations, labelled files and bundles, and finds suspicious labels.

Imports `labelled`, `model` and `evaluate`.
"""
