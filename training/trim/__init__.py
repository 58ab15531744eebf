"""`rasd trim`: cuts an encoder's vocabulary to the pieces that a text uses.

Imports `model.hub`.
"""
