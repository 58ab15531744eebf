"""`rasd drift`: whether an archive is still like the sentences that the model was measured on.

`profile` counts what is compared, `compare` judges the difference. Imports `labelled` and
`evaluate`; `export` imports `profile` to write the reference into the bundle.
"""
