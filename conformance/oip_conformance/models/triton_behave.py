"""Does what COMMAND says, and says in RESULT what it did:

    sleep MILLISECONDS    waits
    parameters            gives the request's parameters, as JSON
    id                    gives the request's id
    raise                 raises an exception
    refuse                answers with an error
"""
import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        command, *arguments = pb_utils.get_input_tensor_by_name(request, "COMMAND").as_numpy().ravel()[0].decode().split()
        result = command
        if command == "sleep":
            time.sleep(int(arguments[0]) / 1000)
        elif command == "parameters":
            result = request.parameters()
        elif command == "id":
            result = request.request_id()
        elif command == "raise":
            raise ValueError("it was told to raise")
        elif command == "refuse":
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("it was told to refuse"))
        return pb_utils.InferenceResponse([pb_utils.Tensor("RESULT", np.array([result.encode()], dtype=object))])
