"""HAProxy twice: bare, and doing the work that ours does by default (its log is not batched)."""

from __future__ import annotations

from tests.bench.systems.base import Launch, Site, System, find, first_line

_CONF = """
global
  maxconn 8000
  nbthread {workers}
{log}
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
frontend web
  bind 127.0.0.1:{port}
{fields}
  default_backend web
backend web
  balance {policy}
  http-reuse always
{servers}
"""

_SAME_FIELDS = """
  log global
  log-format '{"time":"%tr","client":"%ci","method":"%HM","path":%{+Q}HU,"status":%ST,"bytes_out":%B,\
"queue":%Tw,"connect":%Tc,"first_byte":%Tr,"total":%Ta,"backend":"%s","request_id":"%ID"}'
  unique-id-format %[uuid()]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header Forwarded "for=%[src];host=\\"%[req.hdr(host)]\\";proto=http"
  http-request set-header X-Request-Id %[unique-id]
  http-request set-header traceparent 00-%[unique-id]-01
  http-request set-header Via "1.1 haproxy"
"""


def _prepare(program: str, site: Site, *, same_work: bool) -> Launch:
    conf = site.directory / "haproxy.cfg"
    conf.write_text(
        _CONF.format(
            workers=site.workers,
            port=site.port,
            policy=site.policy or "roundrobin",
            servers="\n".join(f"  server s{port} 127.0.0.1:{port}" for port in site.backends),
            log="  log stdout format raw local0" if same_work else "",
            fields=_SAME_FIELDS if same_work else "",
        )
    )
    return Launch([program, "-db", "-f", str(conf)])


def _bare(program: str, site: Site) -> Launch:
    return _prepare(program, site, same_work=False)


def _same(program: str, site: Site) -> Launch:
    return _prepare(program, site, same_work=True)


def _program() -> str | None:
    return find("haproxy", "HAPROXY_BIN")


def _version(program: str) -> str:
    return " ".join(first_line([program, "-v"]).replace("version ", "").split()[:2])


BARE = System("haproxy-bare", _program, _bare, _version, note="proxying only")
SAME = System("haproxy", _program, _same, _version, access_log="output.log", note="same work as ours")
