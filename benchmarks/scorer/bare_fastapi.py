"""A bare FastAPI endpoint with the scorer's request and response models and nothing else: `--port`.

No middleware, no key, no store and no model, on uvicorn with its defaults: the most that a scorer on FastAPI can reach.
"""

from __future__ import annotations

import argparse

import uvicorn
from fastapi import FastAPI

from contracts.transaction import Transaction
from serving.api.schemas import Answer

app = FastAPI()


@app.post("/score")
async def score(transaction: Transaction) -> Answer:
    """A constant answer to a valid payment."""
    return Answer(
        transaction_id=transaction.transaction_id,
        score=0.0,
        decision="approve",
        reasons=[],
        model_version="",
        degraded=False,
    )


@app.get("/health")
async def health() -> dict[str, bool]:
    """The readiness check."""
    return {"ok": True}


def main() -> None:
    """The command; serves until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scorer.bare_fastapi", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    # The scorer writes no access log either.
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
