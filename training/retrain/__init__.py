"""`rasd retrain`: new labels in; a better model is promoted, or the old one kept, and why.

Only `training.commands` imports it.
"""
