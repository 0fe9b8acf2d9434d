"""A model whose weights are more than two gigabytes: what no protobuf can hold, and no signed 32-bit offset reach. The
file is sparse, and only the pages that are asked for are read."""
import numpy as np
import tritonclient.http as http
from onnx import TensorProto, helper

from support import models

COUNT = (1 << 29) + 1000  # floats: a little more than 2 GiB


def test_external_data_of_more_than_two_gigabytes(server, tmp_path):
    weight = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[COUNT], data_location=TensorProto.EXTERNAL)
    for key, text in {"location": "weights.bin", "offset": "4096", "length": str(4 * COUNT)}.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, text
    node = helper.make_node("Gather", ["W", "X"], ["Y"])
    graph = helper.make_graph([node], "graph", [models.tensor("X", "INT64", ["n"])], [models.tensor("Y", "FP32", ["n"])], [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", models.OPSET)], ir_version=models.IR_VERSION)
    (tmp_path / "large").mkdir()
    with open(tmp_path / "large/weights.bin", "wb") as file:
        file.truncate(4096 + 4 * COUNT)
        for index in (0, COUNT // 2, COUNT - 1):
            file.seek(4096 + 4 * index)
            file.write(np.float32(index).tobytes())
    (tmp_path / "large/model.onnx").write_bytes(made.SerializeToString())
    running = server(tmp_path / "large").wait_ready("large", timeout_s=300)
    with http.InferenceServerClient(running.netloc, network_timeout=300, connection_timeout=300) as client:
        given = http.InferInput("X", [4], "INT64")
        given.set_data_from_numpy(np.array([0, 1, COUNT // 2, COUNT - 1]))
        answer = client.infer("large", [given]).as_numpy("Y")
    assert answer.tolist() == [0, 0, np.float32(COUNT // 2), np.float32(COUNT - 1)]
