"""LitServe with the graph of the milling machines; run where LitServe is installed.

python litserve_app.py GRAPH PORT
"""

import sys
from typing import Any

import litserve
from scorer import Scorer  # type: ignore[import-not-found]


class Milling(litserve.LitAPI):  # type: ignore[misc]
    """One row a request."""

    def __init__(self, graph: str) -> None:
        super().__init__()
        self._graph = graph

    def setup(self, device: str) -> None:
        self._scorer = Scorer(self._graph)

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        return request

    def predict(self, row: dict[str, Any]) -> Any:
        return self._scorer.score(**row)

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"prediction": output[0], "probabilities": output[1]}


if __name__ == "__main__":
    server = litserve.LitServer(Milling(sys.argv[1]), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
