"""The registry of models: versions in folders, one of them current, and a log of every change.

Pure path logic, without HTTP. Imports only `bundle`, `atomic` and `errors`; anything may import it.
"""
