"""The array types of the room's functions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]
Float32Array = NDArray[np.float32]
