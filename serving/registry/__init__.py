"""The registry of models: versions in folders, one of them current, and a log of every change."""
