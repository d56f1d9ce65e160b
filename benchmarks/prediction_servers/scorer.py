"""Score one reading of a milling machine as one would by hand: no contract, no rules, no log.

The other servers import it where the factory is not installed, so it needs only numpy and
onnxruntime.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import onnxruntime


class Scorer:
    """The graph in one thread.

    Args:
        graph: an ONNX file, with its classes and threshold in the metadata.
    """

    def __init__(self, graph: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        metadata = self._session.get_modelmeta().custom_metadata_map
        self._classes: list[str] = json.loads(metadata["classes"])
        self._threshold = float(metadata["threshold"])

    def score(
        self,
        type: str,  # noqa: A002 - the name of the column
        air_temperature: float,
        process_temperature: float,
        speed: int,
        torque: float,
        tool_wear: int,
    ) -> tuple[str, dict[str, float]]:
        """Return the predicted class and the probability of each."""
        numbers = {
            "air_temperature": air_temperature,
            "process_temperature": process_temperature,
            "speed": speed,
            "torque": torque,
            "tool_wear": tool_wear,
            "power": torque * speed * 2 * math.pi / 60,
            "temperature_difference": process_temperature - air_temperature,
            "wear_torque": tool_wear * torque,
        }
        feed: dict[str, Any] = {
            name: np.array([[value]], dtype=np.float32) for name, value in numbers.items()
        }
        feed["type"] = np.array([[type]], dtype=object)
        found = self._session.run(None, feed)[0][0].tolist()
        chosen = int(found[1] >= self._threshold)
        return self._classes[chosen], dict(zip(self._classes, found, strict=True))
