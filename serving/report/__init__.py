"""`rasd report`: results of `rasd classify` to one page that an editor can open anywhere.

`results` reads records back, `summary` adds them up in bounded memory, `page` makes the file.
Imports `files` and `bundle`; only its own `command` and `serving.commands` import it.
"""
