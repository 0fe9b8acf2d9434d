"""text_output is text_input in capitals."""
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy()
        upper = np.array([text.decode().upper().encode() for text in texts.ravel()], dtype=object).reshape(texts.shape)
        return pb_utils.InferenceResponse([pb_utils.Tensor("text_output", upper)])
