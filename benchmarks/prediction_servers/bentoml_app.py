"""BentoML with the graph of the milling machines; run where BentoML is installed.

GRAPH=FILE bentoml serve bentoml_app:Milling
"""

import os
from typing import Any

import bentoml
from scorer import Scorer  # type: ignore[import-not-found]


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Milling:
    """One row a request."""

    def __init__(self) -> None:
        self._scorer = Scorer(os.environ["GRAPH"])

    @bentoml.api
    async def predict(self, row: dict[str, Any]) -> dict[str, Any]:
        prediction, probabilities = self._scorer.score(**row)
        return {"prediction": prediction, "probabilities": probabilities}
