"""The scorer's application with an additional no-op endpoint that has the same request and response.

`python -m benchmarks.scorer.contender`, with the scorer's settings. The no-op endpoint shows what all of a request
costs but scoring: the server, the middleware, the API key, the validation of the body.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import APIRouter, Response

from benchmarks.scorer.files import NO_OP_PATH
from contracts.transaction import Transaction
from serving.__main__ import config_of, listen
from serving.api.bounded_body import PaymentRoute
from serving.api.deps import Explain, ServicesDep, as_json, documented_key, reject_future_instants
from serving.api.schemas import Answer
from serving.app import create_app
from serving.observability.logging import configure_logging
from serving.scoring.decision_records import answer_of
from serving.settings import read_settings


def main() -> int:
    """The command; serves until interrupted."""
    settings = read_settings()
    app = create_app(settings)

    router = APIRouter(dependencies=[documented_key], route_class=PaymentRoute)

    @router.post(NO_OP_PATH, response_model=Answer)
    async def nothing(transaction: Transaction, services: ServicesDep, explain: Explain = False) -> Response:
        reject_future_instants(services.clock(), [(("occurred_at",), transaction.occurred_at)])
        record = {
            "transaction_id": transaction.transaction_id,
            "score": 0.0,
            "decision": "approve",
            "reasons": [],
            "model_version": "",
            "degraded": explain,
        }
        return as_json(answer_of(record))

    app.router.routes.extend(router.routes)
    configure_logging()
    uvicorn.Server(config_of(settings, app)).run(sockets=[listen(settings)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
