"""`rasd suggest`: the sentences of an archive that are most worth labelling.

`shortlist` reads the archive in constant memory, `choose` picks from what it kept, `outputs` writes
the picked ones. Imports `labelled` and `validate`.
"""
