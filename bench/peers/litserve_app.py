"""The function on LitServe: litserve_app.py PORT."""
import sys

import litserve
import numpy as np


class Identity(litserve.LitAPI):
    """Answers with the array that it was sent."""

    def setup(self, device):
        """Nothing to load."""

    def decode_request(self, request):
        return np.asarray(request["x"], np.float32)

    def predict(self, x):
        return x

    def encode_response(self, output):
        return {"y": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Identity(), accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="error",
               access_log=False)
