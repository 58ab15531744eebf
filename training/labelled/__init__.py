"""Labelled and unlabelled sentences: reading them, and splitting off the held-out side.

Every verb may import it.
"""
