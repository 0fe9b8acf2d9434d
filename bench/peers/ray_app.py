"""The function on Ray Serve: ray_app.py PORT. Bytes both ways, which its requests allow."""
import os
import signal
import sys

import numpy as np
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

import work

OCTETS = "application/octet-stream"


class Identity:
    """Answers with the array that it was sent."""

    async def __call__(self, request: Request) -> Response:
        x = np.frombuffer(await request.body(), work.dtype())
        return Response(x.tobytes(), media_type=OCTETS)


class Rows:
    """Computes rows of several requests at a time."""

    def __init__(self):
        self.function = work.load()

    @serve.batch(max_batch_size=work.setting("BATCH"), batch_wait_timeout_s=0)
    async def rows(self, bodies):
        x = np.frombuffer(b"".join(bodies), work.dtype()).reshape(len(bodies), -1)
        return [row.tobytes() for row in self.function(x)]

    async def __call__(self, request: Request) -> Response:
        return Response(await self.rows(await request.body()), media_type=OCTETS)


def main(port):
    """Serves until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level="error", _node_ip_address="127.0.0.1",
             _temp_dir=os.environ["HOME"], object_store_memory=100 << 20)
    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config=quiet)
    app = serve.deployment(Rows if "PEER_MODEL" in os.environ else Identity, num_replicas=work.setting("WORKERS"),
                           max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1}, logging_config=quiet)
    serve.run(app.bind(), route_prefix="/")
    try:
        signal.pause()
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
