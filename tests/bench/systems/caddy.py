"""Caddy as it comes (no access log), and with its access log."""

from __future__ import annotations

from tests.bench.systems.base import Launch, Site, System, find, first_line

_CONF = """
{{
  admin off
  auto_https off
  persist_config off
  log {{
    output stderr
    level ERROR
    exclude http.log.access
  }}
}}
http://:{port} {{
  bind 127.0.0.1
  {log}
  reverse_proxy {backends} {{
    {policy}
    transport http {{
      keepalive_idle_conns_per_host 256
    }}
  }}
}}
"""


def _prepare(program: str, site: Site, *, with_log: bool) -> Launch:
    conf = site.directory / "Caddyfile"
    conf.write_text(
        _CONF.format(
            port=site.port,
            backends=" ".join(f"127.0.0.1:{port}" for port in site.backends),
            policy=f"lb_policy {site.policy}" if site.policy else "",
            log=f"log access {{\n    output file {site.directory}/access.log\n    format json\n  }}"
            if with_log
            else "",
        )
    )
    home = {name: str(site.directory) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    return Launch([program, "run", "--config", str(conf), "--adapter", "caddyfile"], home)


def _plain(program: str, site: Site) -> Launch:
    return _prepare(program, site, with_log=False)


def _logged(program: str, site: Site) -> Launch:
    return _prepare(program, site, with_log=True)


def _program() -> str | None:
    return find("caddy", "CADDY_BIN")


def _version(program: str) -> str:
    return "Caddy " + first_line([program, "version"]).split()[0]


PLAIN = System("caddy", _program, _plain, _version, note="as it comes")
LOGGED = System("caddy-log", _program, _logged, _version, access_log="access.log", note="with access log")
