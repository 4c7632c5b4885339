"""A plain model server for comparison: FastAPI, pydantic and `predict_proba` on the features of a payment.

`python -m benchmarks.scorer.plain_fastapi MODEL --port`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import create_model

from contracts.features import FEATURES
from modeling.evaluate import load_skops

Row: Any = create_model("Row", **cast(Any, dict.fromkeys(FEATURES, (float, ...))))


def main() -> None:
    """The command; serves until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scorer.plain_fastapi", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    model = load_skops(given.model)
    app = FastAPI()

    @app.post("/predict")
    async def predict(features: Row) -> dict[str, float]:
        values = np.array([[getattr(features, name) for name in FEATURES]])
        return {"score": float(model.predict_proba(values)[0, 1])}

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
