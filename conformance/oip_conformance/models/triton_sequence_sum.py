"""SUM is the sum of all values that its sequence has sent."""
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        value, start, end, name = (pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()[0]
                                   for name in ("VALUE", "START", "END", "NAME"))
        total = value + (0 if start else self.sums.get(name, 0))
        self.sums[name] = total
        if end:
            self.sums.pop(name)
        return pb_utils.InferenceResponse([pb_utils.Tensor("SUM", np.array([[total]], dtype=np.int32))])
