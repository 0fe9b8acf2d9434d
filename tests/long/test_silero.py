"""Streams of audio, chunk by chunk, through the ONNX model of silero-vad: what the server keeps between chunks makes the same of it
as the package's own wrapper, which keeps that itself."""
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from support.repositories import settle
from support.server import ROOT
from support.sequences import Stream

RATE, CHUNK, CONTEXT, CHUNKS, STREAMS = 16000, 512, 64, 40, 12
SYSTEM_PYTHON = "/usr/bin/python3"  # it has torch, which the package's wrapper wants

DIRECT = """
import json, sys
import numpy as np, torch
from silero_vad import load_silero_vad
model = load_silero_vad(onnx=True)
streams = []
for audio in np.load(sys.argv[1]):
    model.reset_states()
    streams.append([float(model(torch.from_numpy(audio[at:at + 512]), 16000)) for at in range(0, len(audio), 512)])
print(json.dumps(streams))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "-d", folder, "-r",
                    ROOT / "tools" / "requirements-silero.txt"], check=True)
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(folder / "files")
    return folder / "files"


@pytest.fixture(scope="module")
def audio():
    """Each stream has tones of its own that come and go, in noise."""
    random, time = np.random.default_rng(7), np.arange(CHUNKS * CHUNK) / RATE
    streams = []
    for at in range(STREAMS):
        pitch, beat = 90 + 25 * at, 0.7 + 0.3 * at
        voice = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12)) * (np.sin(2 * np.pi * beat * time) > 0)
        streams.append(0.2 * voice + 0.01 * random.standard_normal(len(time)))
    return np.float32(streams)


@pytest.fixture(scope="module")
def direct(package, audio, tmp_path_factory):
    """What the package itself says of each stream."""
    folder = tmp_path_factory.mktemp("direct")
    np.save(folder / "audio.npy", audio)
    for name in ("onnxruntime", "flatbuffers", "google", "packaging"):  # not numpy: torch has the system's
        os.symlink(Path(onnxruntime.__file__).parents[1] / name, folder / name)
    done = subprocess.run([SYSTEM_PYTHON, "-c", DIRECT, folder / "audio.npy"], check=True, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": f"{package}:{folder}"})
    return np.array(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def served(server, package, tmp_path):
    folder = tmp_path / "models" / "vad"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes((package / "silero_vad" / "data" / "silero_vad.onnx").read_bytes())
    (folder / "model.yaml").write_text("sequence_batching:\n  state: [{input_name: state, output_name: stateN}]\n")
    settle(folder)
    return server(tmp_path / "models").wait_ready("vad")


def inputs(client, stream, at):
    """A chunk, with the end of the one before it, as the wrapper has it."""
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), stream])[at * CHUNK:at * CHUNK + CHUNK + CONTEXT]
    made = [client.InferInput("input", [1, CHUNK + CONTEXT], "FP32"), client.InferInput("sr", [], "INT64")]
    made[0].set_data_from_numpy(padded[None])
    made[1].set_data_from_numpy(np.array(RATE))
    return made


def marks(name, at):
    return {"sequence_id": name, "sequence_start": at == 0, "sequence_end": at == CHUNKS - 1}


def test_streams_that_interleave_over_http(served, audio, direct):
    client, heard = httpclient.InferenceServerClient(served.netloc), np.zeros((STREAMS, CHUNKS))
    for at in range(CHUNKS):
        for name, stream in enumerate(audio):
            answer = client.infer("vad", inputs(httpclient, stream, at), **marks(f"microphone {name}", at))
            heard[name, at] = answer.as_numpy("output").item()
            assert answer.as_numpy("stateN") is None, "that stays with the server"
    client.close()
    np.testing.assert_allclose(heard, direct, atol=1e-5)
    assert direct.max() - direct.min() > 0.2, "there is something to be heard"


def test_all_at_once_over_a_stream(served, audio, direct):
    stream, heard = Stream(served), np.zeros((STREAMS, CHUNKS))
    for at in range(CHUNKS):
        for name, samples in enumerate(audio):
            stream.client.async_stream_infer("vad", inputs(grpcclient, samples, at), **marks(name + 1, at))
    for at in range(CHUNKS):
        for name in range(STREAMS):
            heard[name, at] = stream.next().as_numpy("output").item()
    stream.close()
    np.testing.assert_allclose(heard, direct, atol=1e-5)


def test_what_it_says_of_the_model(served):
    metadata = json.loads(served.fetch("/v2/models/vad")[2])
    assert [row["name"] for row in metadata["inputs"]] == ["input", "sr"]
    assert [row["name"] for row in metadata["outputs"]] == ["output"]
    batching = json.loads(served.fetch("/v2/models/vad/config")[2])["sequence_batching"]
    assert batching["oldest"]["max_candidate_sequences"] == 1024
    assert batching["state"][0]["data_type"] == "TYPE_FP32"
