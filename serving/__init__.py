"""Bundle in, labels out: reading, splitting, normalising and classifying Arabic news."""
