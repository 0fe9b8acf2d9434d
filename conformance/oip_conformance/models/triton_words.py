"""Answers once for each word of text_input; the word "fail" is answered by an error. No words: no answers."""
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            self.answer(request)

    def answer(self, request):
        sender = request.get_response_sender()
        text = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy().ravel()[0].decode()
        for word in text.split():
            if word == "fail":
                sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError("the word is fail")))
                continue
            output = pb_utils.Tensor("text_output", np.array([word.encode()], dtype=object))
            sender.send(pb_utils.InferenceResponse([output]))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
