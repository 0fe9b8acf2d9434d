"""OUTPUT0 is INPUT0, whatever its datatype and shape."""
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([self.copy(pb_utils.get_input_tensor_by_name(request, "INPUT0"))])
                for request in requests]

    def copy(self, tensor):
        try:
            return pb_utils.Tensor("OUTPUT0", tensor.as_numpy())
        except Exception:  # BF16, which numpy does not know
            return pb_utils.Tensor.from_dlpack("OUTPUT0", tensor)
