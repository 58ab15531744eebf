"""Bundle in, labels out: reading, splitting, normalising and classifying Arabic news."""

import os

# ONNX Runtime's official builds report their use to Microsoft unless this is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
