"""`rasd classify`: documents in, one record per sentence out, in constant memory.

`command` reads the options; `in_parts` labels an archive, `stream` everything else, `check` only
reads. Imports `files`, `archive` and the classifier; only `serving.commands` imports it.
"""
