"""`rasd adapt`: an encoder reads unlabelled text before it is fine-tuned.

Imports `model`, `train` and `trim`.
"""
