"""The baseline: FastAPI, pydantic and onnxruntime on the event loop; nothing is logged.

    python -m benchmarks.prediction_servers.fastapi_app GRAPH PORT

It scores the graph of the milling machines, and derives its columns by hand.
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.prediction_servers.scorer import Scorer


class Reading(BaseModel):
    """The source's columns that the model needs."""

    type: str
    air_temperature: float
    process_temperature: float
    speed: int
    torque: float
    tool_wear: int


class Answer(BaseModel):
    """What is returned."""

    prediction: str
    probabilities: dict[str, float]


def application(graph: str) -> FastAPI:
    """Return the application for a graph."""
    scorer = Scorer(graph)
    app = FastAPI()

    @app.post("/predict")
    async def predict(reading: Reading) -> Answer:
        prediction, probabilities = scorer.score(**reading.__dict__)
        return Answer(prediction=prediction, probabilities=probabilities)

    return app


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[1]),
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
