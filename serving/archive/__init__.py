"""An archive run (`rasd classify INPUT -o FILE`), cut into parts that survive a crash.

`plan` cuts the input, `parts` keeps what is finished, `run` labels slice by slice on this machine
and `ray_engine` on a cluster. Imports `files` and `labelling`; only `classify` imports it.
"""
