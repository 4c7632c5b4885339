"""An operator that runs a command of the pipeline environment, without a shell."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException
from shared import PROJECT, pipeline_python


class PipelineCommandOperator(BaseOperator):
    """Runs `python -m module arguments`; the result is the command's last line, which is JSON.

    Each argument is a template, and reaches the command as it is: a shell would run what somebody hides in a parameter.
    """

    template_fields: Sequence[str] = ("arguments",)

    def __init__(self, *, module: str, arguments: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.module = module
        self.arguments = list(arguments)

    @cached_property
    def _hook(self) -> SubprocessHook:
        return SubprocessHook()

    def execute(self, context: Any) -> Any:  # noqa: ARG002 - Airflow passes it
        """Run the command. Raises `AirflowException` if it fails; its output is in the task's log."""
        command = [pipeline_python(), "-m", self.module, *self.arguments]
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        done = self._hook.run_command(command=command, env=environment, cwd=str(PROJECT))
        if done.exit_code != 0:
            raise AirflowException(f"{self.module} ended with exit code {done.exit_code}: {done.output}")
        return json.loads(done.output)

    def on_kill(self) -> None:
        """Stop the command with its task."""
        self._hook.send_sigterm()  # type: ignore[no-untyped-call]
