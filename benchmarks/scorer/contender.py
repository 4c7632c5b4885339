"""The scorer's own application with one more endpoint, which takes and gives the same and does nothing.

`python -m benchmarks.scorer.contender`, with the scorer's settings; what it answers tells how much of a request is the
framework: the server, the key, the checks of the body and of the answer.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import Response

from benchmarks.scorer.files import NO_OP_PATH
from contracts.transaction import Transaction
from serving.__main__ import listen
from serving.api.deps import Explain, ServicesDep, as_json, documented_key, refuse_the_future
from serving.api.schemas import Answer
from serving.app import create_app
from serving.observability.logging import configure_logging
from serving.scoring.records import answer_of
from serving.settings import read_settings


def main() -> int:
    """Serve until interrupted."""
    settings = read_settings()
    app = create_app(settings)

    @app.post(NO_OP_PATH, response_model=Answer, dependencies=[documented_key])
    async def nothing(transaction: Transaction, services: ServicesDep, explain: Explain = False) -> Response:
        refuse_the_future(services.clock(), [(("occurred_at",), transaction.occurred_at)])
        record = {
            "transaction_id": transaction.transaction_id,
            "score": 0.0,
            "decision": "approve",
            "reasons": [],
            "model_version": "",
            "degraded": explain,
        }
        return as_json(answer_of(record))

    configure_logging()
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listen(settings)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
