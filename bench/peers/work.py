"""What every peer serves, the same code in each: an identity, or an ONNX model whose rows it computes."""
import os


def load():
    """The function from an array to an array: PEER_MODEL names the model's file, PEER_THREADS says how many threads one run of
    it takes. Without a model it is the identity."""
    path = os.environ.get("PEER_MODEL")
    if not path:
        return lambda x: x
    import onnxruntime  # of those that serve a model only

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["PEER_THREADS"])
    options.inter_op_num_threads = 1
    # As tensord has it on a machine whose processors are all in use.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    into, out = session.get_inputs()[0].name, session.get_outputs()[0].name
    return lambda x: session.run([out], {into: x})[0]


def dtype():
    """Of what is sent: magika's rows are integers."""
    return os.environ.get("PEER_DTYPE", "float32")


def setting(name):
    """A number that the benchmark sets: PEER_WORKERS, PEER_BATCH, …"""
    return int(os.environ[f"PEER_{name}"])
