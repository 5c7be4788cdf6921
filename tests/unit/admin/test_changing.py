"""Changes over the API, through Werkzeug's client: what is taken, what is refused and how it is said."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from lb.admin.app import AdminApp
from lb.config.load import load
from lb.controller.attachment import Attachment
from lb.controller.controller import Controller
from lb.state.publish import publish, read_token, segment_paths, snapshot_path

FILE = """
listeners: {traffic: {bind: "127.0.0.1:5000"}, status: {bind: "127.0.0.1:5051"}, admin: {bind: "127.0.0.1:5050"}}
workers: 1
pools:
  web: {backends: [http://127.0.0.1:5001, {id: "x/1%y", url: "http://127.0.0.1:5002"}, unix:/run/a.sock]}
  lone: {backends: [{id: only, url: "http://127.0.0.1:5003"}]}
routes: [{path: /lone, pool: lone}, {pool: web}]
"""
WEB = "/api/v1/pools/web/backends"
JSON = "application/json"
GOOD = {"state": "drain"}


class Api:
    """As somebody on this machine who has the token."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "lb.yaml"
        self.file.write_text(FILE)
        self.state_dir = str(folder / "state")
        publish(load(str(self.file), os.environ, state_dir=self.state_dir))
        self.token = read_token(self.state_dir)
        controller = Controller(Attachment(snapshot_path(self.state_dir)))
        self._client = Client(AdminApp(lambda: controller))

    def __call__(self, method: str, path: str, body: Any = None, **fields: str | None) -> TestResponse:
        headers = {"Host": "localhost", "Authorization": f"Bearer {self.token}", "Content-Type": JSON}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}  # type: ignore[dict-item]
        address = headers.pop("From", "127.0.0.1")
        raw = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self._client.open(
            path,
            method=method,
            data=None if body is None else raw,
            headers={name: value for name, value in headers.items() if value is not None},
            environ_overrides={"REMOTE_ADDR": address},
        )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """For what changes nothing."""
    yield from _api(tmp_path_factory.mktemp("api"))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    yield from _api(tmp_path)


def _api(folder: Path) -> Iterator[Api]:
    api = Api(folder)
    yield api
    for path in segment_paths(api.state_dir):
        Path(path).unlink(missing_ok=True)


REFUSED: list[tuple[str, str, Any, dict[str, str | None], int, str]] = [
    ("PATCH", f"{WEB}/127.0.0.1:5001", GOOD, {"Authorization": None}, 401, "unauthorized"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", GOOD, {"Authorization": "Bearer no", "From": "127.0.0.2"}, 401, "unauthorized"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", GOOD, {"Authorization": None, "From": ""}, 401, "unauthorized"),
    ("GET", "/api/v1/state", None, {"Authorization": None, "From": "10.0.0.9"}, 401, "unauthorized"),
    ("GET", "/metrics", None, {"Authorization": None, "From": "10.0.0.9"}, 401, "unauthorized"),
    ("POST", "/api/v1/reload", None, {"Authorization": None}, 401, "unauthorized"),
    ("PUT", "/api/v1/config", FILE, {"Authorization": None}, 401, "unauthorized"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", GOOD, {"Host": "evil.example"}, 403, "forbidden"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", GOOD, {"Origin": "http://evil.example"}, 403, "forbidden"),
    ("PATCH", f"{WEB}/127.0.0.1:5009", GOOD, {}, 404, "backend_not_found"),
    ("GET", f"{WEB}/127.0.0.1:5009", None, {}, 404, "backend_not_found"),
    ("DELETE", f"{WEB}/x%2F1%2525y", None, {}, 404, "backend_not_found"),
    ("GET", "/api/v1/pools/wbe", None, {}, 404, "pool_not_found"),
    ("POST", "/api/v1/pools/wbe/backends", {"url": "http://h"}, {}, 404, "pool_not_found"),
    ("GET", "/api/v1/pools/web/", None, {}, 404, "not_found"),
    ("GET", "/api/v1/poolsweb", None, {}, 404, "not_found"),
    ("GET", "/api/v1/pools/web/frontends/a", None, {}, 404, "not_found"),
    ("POST", f"{WEB}/127.0.0.1:5001", GOOD, {}, 405, "method_not_allowed"),
    ("PUT", "/api/v1/pools", GOOD, {}, 405, "method_not_allowed"),
    ("GET", "/api/v1/config", None, {}, 405, "method_not_allowed"),
    ("DELETE", "/api/v1/pools/lone/backends/only", None, {}, 409, "last_backend"),
    ("POST", WEB, {"url": "http://127.0.0.1:5001"}, {}, 409, "backend_exists"),
    ("PATCH", f"{WEB}/127.0.0.1:5001?scope=cluster", GOOD, {}, 409, "no_store"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", GOOD, {"If_Match": '"77"'}, 412, "generation_changed"),
    ("DELETE", f"{WEB}/127.0.0.1:5001", None, {"If_Match": '"77"'}, 412, "generation_changed"),
    ("PUT", "/api/v1/config", FILE, {"If_Match": '"77"', "Content_Type": "text/yaml"}, 412, "generation_changed"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", GOOD, {"If_Match": "7"}, 400, "bad_if_match"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", " " * (1 << 20) + "{}", {}, 413, "body_too_large"),
    ("PUT", "/api/v1/config", " " * (1 << 20) + FILE, {"Content_Type": "text/yaml"}, 413, "body_too_large"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", GOOD, {"Content_Type": "text/plain"}, 415, "unsupported_type"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", GOOD, {"Content_Type": None}, 415, "unsupported_type"),
    ("PUT", "/api/v1/config", FILE, {"Content_Type": "text/plain"}, 415, "unsupported_type"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", "{", {}, 400, "bad_json"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", b"\xff", {}, 400, "bad_json"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", "[]", {}, 400, "bad_json"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", '{"weight": NaN}', {}, 400, "bad_json"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", '{"weight": 1, "weight": 2}', {}, 400, "bad_json"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", '{"weight": ' + "9" * 9_999 + "}", {}, 400, "bad_json"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", '{"a": ' + "[" * 40 + "]" * 40 + "}", {}, 400, "bad_json"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", '{"a": ' * 100_000, {}, 400, "bad_json"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", {}, {}, 422, "nothing_to_change"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", {"state": "up"}, {}, 422, "invalid"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", {"weight": True}, {}, 422, "invalid"),
    ("PATCH", f"{WEB}/127.0.0.1:5001", {"weight": 1, "url": "http://h"}, {}, 422, "invalid"),
    ("PATCH", f"{WEB}/127.0.0.1:5001?scop=machine", GOOD, {}, 422, "invalid"),
    ("PATCH", f"{WEB}/127.0.0.1:5001?scope=all", GOOD, {}, 422, "invalid"),
    ("POST", WEB, {"id": "a"}, {}, 422, "invalid"),
    ("POST", WEB, {"url": "http://169.254.169.254"}, {}, 422, "invalid"),
    ("POST", WEB, {"url": "http://u:p@h"}, {}, 422, "invalid"),
    ("POST", WEB, {"url": "http://h", "id": "a\r\nX: y"}, {}, 422, "invalid"),
    ("POST", WEB, {"url": "http://127.0.0.1:5050"}, {}, 422, "invalid_backend"),
    ("PUT", "/api/v1/config", "pools: {", {"Content_Type": "text/yaml"}, 422, "invalid_configuration"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "fields", "status", "reason"), REFUSED)
def test_refused(
    shared: Api, method: str, path: str, body: Any, fields: dict[str, str | None], status: int, reason: str
) -> None:
    before = Path(snapshot_path(shared.state_dir)).read_bytes(), sorted(os.listdir(shared.file.parent))
    answer = shared(method, path, body, **fields)
    assert (answer.status_code, answer.json["reason"], answer.json["status"]) == (status, reason, status)
    assert answer.json["error"] and shared.token not in answer.text
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)
    assert ("Allow" in answer.headers) is (status == 405)
    after = Path(snapshot_path(shared.state_dir)).read_bytes(), sorted(os.listdir(shared.file.parent))
    assert after == before, "nothing has changed, nothing is left over"


def test_all_mistakes_are_named_with_what_was_meant(shared: Api) -> None:
    answer = shared("POST", WEB, {"url": "ftp://h", "wieght": 3})
    assert answer.json["mistakes"] == {
        "url": "scheme `ftp`: expected http://, https:// or unix:",
        "wieght": "unknown key `wieght`, did you mean `weight`?",
    }


def test_wrong_tokens_are_counted(shared: Api) -> None:
    asked = lambda token: shared("POST", "/api/v1/reload", Authorization=f"Bearer {token}", From="127.0.0.3")  # noqa: E731
    statuses = [asked("wrong").status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert asked("wrong").headers["Retry-After"] == "60"
    assert shared("GET", "/api/v1/pools", From="127.0.0.3").status_code == 200


def test_the_token_opens_reading_from_elsewhere(shared: Api) -> None:
    assert shared("GET", "/api/v1/pools", From="10.0.0.9").status_code == 200
    assert shared("GET", "/", From="10.0.0.9", Authorization=None).status_code == 200


def test_looking(shared: Api) -> None:
    pools = shared("GET", "/api/v1/pools")
    assert pools.headers["ETag"] == '"1"'
    assert [pool["id"] for pool in pools.json["pools"]] == ["web", "lone"]
    assert shared("GET", "/api/v1/pools/lone").json["backends"][0]["id"] == "only"
    for path, id in (("127.0.0.1:5001", "127.0.0.1:5001"), ("x%2F1%25y", "x/1%y"), ("%2Frun%2Fa.sock", "/run/a.sock")):
        answer = shared("GET", f"{WEB}/{path}")
        assert (answer.json["id"], answer.json["state"], answer.json["weight"]) == (id, "ready", 1)
    assert shared("HEAD", f"{WEB}/127.0.0.1:5001").status_code == 200


def test_set_add_remove(api: Api) -> None:
    changed = api("PATCH", f"{WEB}/x%2F1%25y", {"state": "drain", "weight": 7}, If_Match='"1"')
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert changed.json == {
        "pool": "web", "backend": "x/1%y", "generation": 2, "scope": "machine", "warnings": [], "problems": [],
    }  # fmt: skip
    seen = api("GET", f"{WEB}/x%2F1%25y").json
    assert (seen["state"], seen["weight"], seen["is_eligible"]) == ("drain", 7, False)
    assert api("PATCH", f"{WEB}/x%2F1%25y", GOOD, If_Match='"1"').status_code == 412
    added = api("POST", WEB, {"url": "unix:/run/b c.sock", "id": "b/c", "weight": 2}, If_Match="*")
    assert (added.status_code, added.headers["Location"]) == (201, f"{WEB}/b%2Fc")
    assert api("GET", added.headers["Location"]).json["address"] == "unix:/run/b c.sock"
    assert api("DELETE", f"{WEB}/127.0.0.1:5001").status_code == 200
    assert [one["id"] for one in api("GET", "/api/v1/pools/web").json["backends"]] == ["x/1%y", "/run/a.sock", "b/c"]
    operator = api("GET", "/api/v1/state").json["operator"]
    assert operator["machine"]["web/127.0.0.1:5001"]["removed"] is True
    assert operator["machine"]["web/b/c"]["added"] is True


def test_a_pool_that_nobody_serves_any_more_is_said(api: Api) -> None:
    warned = api("PATCH", "/api/v1/pools/lone/backends/only", {"state": "drain"}).json["warnings"]
    assert warned == ["pool lone has no backend left that takes requests: they are answered 503"]
    assert api("PATCH", "/api/v1/pools/lone/backends/only", {"state": "ready"}).json["warnings"] == []


def test_another_configuration(api: Api) -> None:
    text = FILE.replace("5003", "5004")
    answer = api("PUT", "/api/v1/config", f"state: {{dir: {api.state_dir}}}\n{text}", Content_Type="application/yaml")
    assert (answer.status_code, answer.json["generation"]) == (200, 2)
    assert api("GET", "/api/v1/pools/lone").json["backends"][0]["address"] == "127.0.0.1:5004"
    assert (api.file.parent / "lb.yaml.previous").read_text() == FILE
    refused = api("PUT", "/api/v1/config", "pools: {web: {backend: [h]}}\n", Content_Type="application/yaml")
    assert refused.json["problems"][0] == {
        "file": str(api.file), "line": 1, "column": 9, "message": "pool `web` has no backends",
    }  # fmt: skip
    assert "5004" in api.file.read_text()
    api.file.write_text("pools: 3\n")
    again = api("POST", "/api/v1/reload")
    assert again.status_code == 422
    assert again.json["problems"][0].startswith(f"{api.file}:1:8: expected a mapping, got `3`")
    assert "refused" in api("GET", "/api/v1/state").json["problem"]


def test_a_file_that_cannot_be_written(api: Api) -> None:
    api.file.rename(api.file.parent / "real.yaml")
    api.file.symlink_to("real.yaml")
    answer = api("PUT", "/api/v1/config", FILE, Content_Type="text/yaml")
    assert (answer.status_code, answer.json["reason"]) == (409, "file_not_writable")
    assert "is a link" in answer.json["error"]


def test_a_body_of_many_keys_is_refused_at_once(shared: Api) -> None:
    """The controller does nothing else meanwhile: no probe, no metrics."""
    keys = [f'"k{number:05d}":0' for number in range(90_000)]
    started = time.thread_time()
    answer = shared("POST", WEB, "{" + ",".join([*keys, keys[-1]]) + "}")
    assert (answer.status_code, answer.json["error"]) == (400, "the body is not JSON: duplicate key 'k89999'")  # type: ignore[index]
    assert time.thread_time() - started < 5
