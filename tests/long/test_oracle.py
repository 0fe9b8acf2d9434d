"""The same requests to a real tritonserver and to ours, with the same models in Triton's Python: every difference between the
answers, and between what they count, is explained here and in docs/compatibility.md, or fails."""
import itertools
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "conformance"))

from oip_conformance.http import NoAnswer  # noqa: E402
from oip_conformance.models import write_triton  # noqa: E402
from oip_conformance.rpc import message  # noqa: E402
from oip_conformance.target import Target  # noqa: E402
from oip_conformance.tensors import request, tensor  # noqa: E402

from support import oracle, oracle_loads, oracle_regions, oracle_sequences  # noqa: E402
from support.processes import until  # noqa: E402
from support.python_models import needs_python  # noqa: E402
from support.server import Server  # noqa: E402
from support.tritonserver import TritonServer  # noqa: E402

pytestmark = needs_python
SEEDS, REQUESTS = range(4), 250
COUNTED_S = 10
REPORT = ROOT / ".deps/oracle-differences.txt"

# (pattern of the line of a difference, the sentence of docs/compatibility.md that explains it)
EXPLAINED = [
    (r"^(GET /v2|gRPC metadata) \| \S*(name|version|extensions) ",
     "The server's name and version are its own, and so is the list of extensions: those that it has."),
    (r"^GET /v2\S*/(live|ready) \| (body|content-type|status)",
     "What is not ready says so in a body; what there is not answers `ready` with 404, where Triton says 400."),
    (r"\| content-type \| 'text/plain' \| 'application/json'$",
     "Every error's body says that it is JSON; Triton calls some of its own text."),
    (r"\| (meanwhile )?status \| (50\d \| 4\d\d|'(INTERNAL|UNIMPLEMENTED)' \| 'INVALID_ARGUMENT')$",
     "What the client got wrong is 400, or 404, and INVALID_ARGUMENT; Triton answers 500 and INTERNAL for some of it."),
    (r"\| content-type \| 'application/json' \| None$",
     "An answer without a body has no `Content-Type`."),
    (r"^regions, \w+: (a second name|status|an odd offset) \|",
     "Several regions may lie in one object, and they may begin at any byte."),
    (r"^sequences, \w+: named \|",
     "A model may be told the name of its sequence as text."),
    (r"^sequences, \w+: narrow 2\^31 \|",
     "A `sequence_id` that the model's control cannot hold is refused."),
    (r"^loads, \w+: (config, empty|config, another name) \|",
     "An empty `config` of a load is none, and the `name` in it is passed over."),
    (r"^loads, \w+: without a config again, as served \| \S*parameters",
     "A load without `config` serves what the repository says, and one with files these files."),
    (r"^loads, \w+: the same version again \|",
     "A load without `config` serves what the repository says, and one with files these files."),
    (r"^loads, \w+: no version \|",
     "Files of a load may lie beside the folders of versions, as in a repository: a model that has none is version 1."),
    (r"^loads, \w+: two versions: index \|",
     "Without a `version_policy`, it is `all`: every version that lies there is served, where Triton serves the latest."),
    (r"^loads, \w+: (a model that the repository lacks|it cannot be loaded without its files): index \|",
     "The index lists models that loads have brought."),
    (r"^loads, \w+: unload( what the repository lacks)?: (gRPC )?infer \| status \| (404 \| 503|'NOT_FOUND' \| 'UNAVAILABLE')$",
     "A model that was unloaded is not ready (503), and not unknown."),
    (r"^(GET \S+/config|gRPC ModelConfig \w+) \| \S*config\S*\.?(optimization|default_model_filename|platform|version_policy)|^GET \S+/config \| body\.(optimization|default_model_filename|platform|version_policy)|^loads, .*, as served \| \S*(optimization|default_model_filename|platform|version_policy)",
     "`default_model_filename` and `optimization` are what the file says, and `platform` what was found out; Triton writes its defaults."),
    (r"^(GET \S*trace/setting|trace .*|gRPC trace) \| \S*(trace_mode|trace_rate)",
     "Traces go to an OpenTelemetry collector: `trace_mode` says so, and every request is traced unless `trace_rate` says otherwise."),
    (r"^(GET /v2/logging|gRPC log) \| \S*log_format|^logging \{'log_format'",
     "`log_format` is ISO 8601's and cannot be set."),
    (r"^(trace|logging) ",
     "Settings that there are not, or whose values mean nothing, are refused; Triton passes some of them over."),
    (r"^GET / \|",
     "`/` says that the server is alive, as KServe's does."),
    (r"^(POST /v2/repository/nix/|gRPC index )",
     "A repository cannot be named: there is one."),
    (r"^POST /v2/repository/models/nix/unload|^loads, \w+: unload a model that there is not \|",
     "A model that there is not cannot be unloaded: 404."),
    (r"^outputs in another order",
     "Outputs come in the order in which they were asked for."),
    (r"^unknown coding \|",
     "Any other coding is 415 with `Accept-Encoding`; Triton says 501."),
    (r"^(null parameter|no rows) ",
     "Parameters that are null and tensors without rows are taken."),
    (r"^(an output twice|classification 0|bad JSON (nothing|nan|infinity|name-with-nul|no-elements-but-data|invalid-utf8)|out of range|bad length of JSON|gRPC (stream, )?bad (raw-one-too-many|shape-zero)"
     r"|regions, \w+: size alone, output|regions: gRPC, data, too|loads, REST: (an array|a file that is no base64)) ",
     "More is refused: numbers that their datatype does not hold, NaN in JSON, a body of nothing, lengths that are no numbers, more data than tensors."),
    (r"^(decoupled over REST|gRPC decoupled)",
     "A model that may answer several times may be asked by `infer` and `generate`, too, and is answered where it answers once."),
    (r"^generate(_stream)?, ",
     "`generate` gives what a model failed with the status that `infer` gives it, and several answers or none are errors, too; the first failure of a stream is no event but an error's body."),
    (r"^(gRPC stream|regions: a stream).* \| answer\d+\.infer_response( |\.parameters\.triton_final_response|\.id|\.model)",
     "In a stream, the answer of a request that failed says that it is the final one, and names no model; every other names its model's version."),
    (r"equal as FP32$",
     "Of an FP32 as many digits are written as it takes to read the same number again."),
    (r"^(gRPC bad shape-10000|GET /v2/models/nix/stats|GET /v2/models/add_sub/versions/x|regions: register without name) \| status",
     "What the client got wrong is 400, or 404, and INVALID_ARGUMENT; Triton answers 500 and INTERNAL for some of it."),
    (r'''\| (meanwhile )?(body\.error|details|answer\d+\.error_message) \| ['\"](?!\(nothing).* \| ['\"](?!\(nothing)''',
     "Sentences that people match on are kept, without the request's id before them; others say what to do."),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "models"
    write_triton(folder, sequences=False)
    oracle_sequences.write(folder)
    oracle_loads.write(folder)
    return folder


class Theirs(Target):
    """tritonserver, which is started again when a request has ended it: some of the bad ones do, a while later."""

    def __init__(self, models, log):
        self.server = TritonServer(models, log, "--model-control-mode=explicit", "--load-model=*")
        self.ends = 0
        super().__init__(self.server.url, self.server.grpc_netloc)

    def ask(self, one):
        """The answer, of another process when the first one ends."""
        for _ in range(3):
            try:
                answer = one.ask(self)
            except (OSError, NoAnswer):
                answer = {"status": "UNAVAILABLE"}
            if answer.get("status") != "UNAVAILABLE" or not self.server.has_ended():
                return answer
            self.ends += 1
            self.server.start()
            self.reconnect()
        return {"status": "it ends"}


class Ours(Target):
    def ask(self, one):
        return one.ask(self)


@pytest.fixture(scope="module")
def theirs(models, tmp_path_factory):
    started = Theirs(models, tmp_path_factory.mktemp("log") / "log")
    yield started
    started.server.stop()


@pytest.fixture(scope="module")
def ours(models, tmp_path_factory):
    """tensord."""
    started = Server(models, "--allow-client-shm", "infer", state=tmp_path_factory.mktemp("state"))
    until(lambda: all(row["state"] == "READY" for row in started_index(started)), 300, "all models ready")
    yield Ours(started.url, started.netloc, [("Authorization", f"Bearer {started.admin_token}")])
    started.stop()


def started_index(server):
    rows = json.loads(server.fetch("/v2/repository/index", b"")[2])
    return rows if len(rows) > 15 else [{"state": "LOADING"}]


def test_explanations_are_told():
    told = " ".join((ROOT / "docs/compatibility.md").read_text().split())
    assert {sentence for _, sentence in EXPLAINED if sentence not in told} == set()


def counters(target, model):
    """What a model counts, without times."""
    [row] = target.http1.ask("GET", f"/v2/models/{model}/stats").json()["model_stats"]
    found = {"inferences": row["inference_count"], "executions": row["execution_count"]}
    found.update({stage: value["count"] for stage, value in row["inference_stats"].items()})
    found.update({f"batches of {batch['batch_size']}": batch["compute_infer"]["count"] for batch in row["batch_stats"]})
    return found


def more(target, model, before):
    """How much more it counts than before."""
    after = counters(target, model)
    return {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}


def differ(ours, theirs):
    return {name: ours.get(name, 0) - theirs.get(name, 0) for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)}


def behave(command):
    return oracle.infer(command, "behave", request(tensor([command], "BYTES", [1], "COMMAND")))


def rows(count):
    return oracle.infer("rows", "identity_int32", request(tensor([1] * count, "INT32", [count, 1])))


# What is asked, and how much more we count of it than tritonserver, as docs/compatibility.md says.
COUNTED = {
    "one": ("identity_int32", [rows(1)]), "three rows": ("identity_int32", [rows(3)]),
    "several": ("identity_int32", [rows(1), rows(2), rows(2), rows(8)]),
    "too many rows": ("identity_int32", [rows(9)], {"fail": 1}),
    "another datatype": ("identity_int32", [oracle.infer("x", "identity_int32", request(tensor([1.0], "FP32")))], {"fail": 1}),
    "gRPC": ("identity_int32", [oracle.Rpc("x", "ModelInfer", message("identity_int32", ("INPUT0", "INT32", [2, 1], [1, 2])))]),
    "raise": ("behave", [behave("raise")], {"executions": -1, "batches of 1": -1}), "good": ("behave", [behave("id"), behave("id")]),
    "a stream": ("identity_int32", [oracle.Rpc("x", "ModelStreamInfer", [message("identity_int32", ("INPUT0", "INT32", [2, 1], [1, 2]))] * 3)]),
}


@pytest.mark.parametrize("name", COUNTED)
def test_both_count_the_same(theirs, ours, name):
    model, asked, *excused = COUNTED[name]
    before = counters(ours, model), counters(theirs, model)
    for one in asked:
        ours.ask(one)
        theirs.ask(one)
    found, expected = {}, excused[0] if excused else {}

    def as_expected():
        found.clear()
        found.update(differ(more(ours, model, before[0]), more(theirs, model, before[1])))
        return found == expected

    try:
        until(as_expected, COUNTED_S, "the same counts")  # tritonserver counts after it has answered
    except TimeoutError:
        assert found == expected


def test_every_difference_is_explained(theirs, ours):
    """The last test: bad requests end tritonserver, some of them a while later."""
    asked = itertools.chain(*(oracle.generated(seed, REQUESTS) for seed in SEEDS), oracle_regions.cases(), oracle_sequences.cases(),
                            oracle_loads.cases(), oracle.hand_picked(), oracle.calls(), oracle.mistakes())
    lines = [line for one in asked for line in oracle.differences(one, theirs, ours)]
    used, unexplained = set(), []
    with REPORT.open("w") as report:
        for line in lines:
            reason = next((rule for rule in EXPLAINED if re.search(rule[0], line, re.S)), None)
            used.add(reason)
            unexplained += [] if reason else [line]
            print(line, reason[1] if reason else "NOT EXPLAINED", sep="\n    ", file=report)
    assert not unexplained, f"{len(unexplained)} of {len(lines)} differences are not explained:\n" + "\n".join(unexplained[:40])
    assert [rule for rule in EXPLAINED if rule not in used] == []
