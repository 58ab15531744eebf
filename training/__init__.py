"""Labelled sentences in, bundle out: the only room where torch and transformers live."""
