"""The function on Ray Serve, behind its own proxy: ray_app.py PORT."""
import signal
import sys

import numpy as np
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1})
class Identity:
    """Answers with the array that it was sent, as bytes both ways."""

    async def __call__(self, request: Request) -> Response:
        x = np.frombuffer(await request.body(), np.float32)
        return Response(x.tobytes(), media_type="application/octet-stream")


def main(port):
    """Serves until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level="error", _node_ip_address="127.0.0.1")
    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config=quiet)
    serve.run(Identity.options(logging_config=quiet).bind(), route_prefix="/")
    print("serving", flush=True)
    try:
        signal.pause()
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
