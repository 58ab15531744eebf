"""`rasd trim`: cuts an encoder's vocabulary to the pieces that a text uses.

Imports `model`; `adapt` uses its `encoder_files` and `card`.
"""
