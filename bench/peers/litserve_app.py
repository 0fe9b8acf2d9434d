"""The function on LitServe: litserve_app.py PORT."""
import sys

import litserve
import numpy as np

import work


class Work(litserve.LitAPI):
    """Answers JSON with JSON; several requests at a time when it may join them."""

    def setup(self, device):
        self.function = work.load()

    def decode_request(self, request):
        return np.asarray(request["x"], work.dtype())

    def predict(self, x):
        return self.function(x)

    def encode_response(self, output):
        return {"y": output.tolist()}


class Joined(Work):
    """Rows of several requests at a time."""

    def batch(self, inputs):
        return np.concatenate(inputs)

    def unbatch(self, output):
        return [output[i:i + 1] for i in range(len(output))]


if __name__ == "__main__":
    api = Joined(max_batch_size=work.setting("BATCH"), batch_timeout=0.005) if work.setting("BATCH") > 1 else Work()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=work.setting("WORKERS"), fast_queue=True, timeout=60,
                                disable_openapi_url=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=work.setting("FRONTS"), generate_client_file=False,
               log_level="error", access_log=False)
