"""Runs workers as processes of the endpoint: starts them, ends those that overrun, and starts them anew."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from lambda_image.process import usable_cpus
from statemachine.local.child import command
from statemachine.local.dispatcher import Dispatcher, Emit
from statemachine.local.function_logs import stream_name_of
from statemachine.local.logs import LogLines, log_event
from statemachine.local.outcomes import failure
from statemachine.local.runtime_api import runtime_app
from statemachine.local.serving import listen
from statemachine.local.settings import worker_environment

# Seconds until a worker must ask for work. Lambda allows 10 and then the function's timeout; four workers that load
# PyTorch at once from a laptop's cold disk need longer than one does.
START_LIMIT_S = 120.0
RESTART_DELAY_S = 0.5  # after a failed start, doubled with each further one, so that a broken handler costs no CPU
RESTART_DELAY_MAX_S = 10.0
GRACE_S = 2.0  # from SIGTERM to SIGKILL when the endpoint ends, and for the last output of a process that ended
CHUNK = 64 * 1024  # bytes, what a pipe holds


class WorkerSupervisor:
    """Keeps one worker running. Its Runtime API has a port of its own, which ties an invocation to the process."""

    def __init__(
        self, dispatcher: Dispatcher, worker: str, environ: Mapping[str, str], endpoint_url: str, emit: Emit
    ) -> None:
        self.worker = worker
        self._dispatcher = dispatcher
        self._environ = environ
        self._endpoint_url = endpoint_url
        self._emit = emit
        self._process: Process | None = None

    async def run(self) -> None:
        """Runs until it is cancelled, and then ends the process."""
        dispatcher = self._dispatcher
        dispatcher.kill[self.worker] = self.kill
        dispatcher.peak_mb[self.worker] = self._peak_mb
        async with AsyncExitStack() as stack:
            runtime_api = await listen(stack, runtime_app(dispatcher, self.worker), "127.0.0.1")
            stack.push_async_callback(self._end)
            environment = worker_environment(
                self._environ,
                dispatcher.name,
                dispatcher.settings,
                runtime_api=runtime_api,
                endpoint_url=self._endpoint_url,
                cpus=usable_cpus(),
            ) | {"AWS_LAMBDA_LOG_STREAM_NAME": stream_name_of(self.worker)}
            failures = 0
            while True:
                started = await self._run_once(environment)
                failures = 0 if started else failures + 1
                if failures:
                    await asyncio.sleep(min(RESTART_DELAY_S * 2 ** (failures - 1), RESTART_DELAY_MAX_S))

    def kill(self) -> None:
        """Kills the process and what it has started."""
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _run_once(self, environment: Mapping[str, str]) -> bool:
        """One process from start to exit; whether it ever asked for work."""
        dispatcher, name = self._dispatcher, self._dispatcher.name
        # A session of its own: Ctrl-C in a terminal reaches the endpoint, which ends its workers in order.
        process = self._process = await asyncio.create_subprocess_exec(
            *command("awslambdaric", dispatcher.settings.handler),
            stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True,
        )  # fmt: skip
        facts: dict[str, object] = {"function": name, "runtime": self.worker, "worker": process.pid}
        self._emit({"event": "worker_started", **facts})
        assert process.stdout
        assert process.stderr
        logs = [asyncio.create_task(self._forward(process.stdout, "stdout"))]
        logs.append(asyncio.create_task(self._forward(process.stderr, "stderr")))
        limit = asyncio.get_running_loop().call_later(START_LIMIT_S, self._end_if_not_started)
        try:
            returncode = await process.wait()
        finally:
            limit.cancel()
        await asyncio.wait(logs, timeout=GRACE_S)
        started = self.worker in dispatcher.queue.seen
        self._emit({"event": "worker_exited", **facts, "returncode": returncode, "started": started})
        dispatcher.lost(self.worker, returncode)
        return started

    def _end_if_not_started(self) -> None:
        if self.worker not in self._dispatcher.queue.seen:
            message = f"Error: Task timed out after {START_LIMIT_S:.2f} seconds in the init phase"
            self._dispatcher.start_failed(self.worker, failure("Sandbox.Timedout", message))
            self.kill()

    async def _forward(self, stream: asyncio.StreamReader, kind: str) -> None:
        assert self._process
        pid, lines = self._process.pid, LogLines()
        while True:
            chunk = await stream.read(CHUNK)
            for line in lines.feed(chunk):
                self._dispatcher.logs.line(self.worker, line)
                self._emit(log_event(line, self._dispatcher.name, pid, kind))
            if not chunk:
                return

    def _peak_mb(self) -> int | None:
        """Memory that the process has used at most, where the system tells."""
        try:
            status = Path(f"/proc/{self._process.pid if self._process else 'self'}/status").read_text(encoding="utf-8")
            return int(status.partition("VmHWM:")[2].split()[0]) // 1024
        except (OSError, IndexError, ValueError):
            return None

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE_S)
        except TimeoutError:
            self.kill()
            await process.wait()
