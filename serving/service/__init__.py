"""The HTTP service of `rasd serve`: LitServe's workers, and around them what keeps them answering.

One process speaks HTTP and holds the queue; each LitServe worker is a process of its own at the end
of a pipe (`worker` is its end, `pool` ours). `app` puts the routes together, `command` runs it all.
"""
