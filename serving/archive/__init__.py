"""An archive run (`rasd classify INPUT -o FILE`), cut into parts that survive a crash.

`plan` cuts the input, `reading` makes batches of it, `labeller` labels them, `parts` keeps what is
finished; `run` does so on this machine and `ray_engine` on a cluster. Imports `files` and
`labelling`; only `classify` imports it.
"""
